#!/usr/bin/env bash
# The HTTP API with curl: two accounts, and a message from one to the other.
#
#   examples/http_api.sh [http://127.0.0.1:8080] [SERVER_NAME]
#
# Only a device that has published keys can be sent to; openssl makes and signs them. What neither can do is seal
# a message (`sealed.v1` is not among their ciphers). The server cannot tell, since it reads no payload, and so
# carries the unsealed word below like any other; a real client would show it as one that cannot be opened.
# Never send like this what is not for the server to read: examples/plain_http.py seals, call by call.
set -euo pipefail
server=${1:-http://127.0.0.1:8080}
server_name=${2:-localhost}
tail=$(od -An -N3 -tx1 /dev/urandom | tr -d ' ')
password="correct horse $tail"
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT

call() { # METHOD PATH [BODY] [TOKEN]: says what is called, and prints the answer
  local answer
  echo "$1 $2" >&2
  answer=$(curl --silent --show-error --fail-with-body -X "$1" "$server$2" ${3:+-d "$3"} \
    -H 'Content-Type: application/json' ${4:+-H "Authorization: Bearer $4"}) || { echo "$answer" >&2; exit 1; }
  echo "$answer"
}
member() { sed -n "s/.*\"$1\": *\"\{0,1\}\([^\",}]*\).*/\1/p"; } # NAME: prints a member of the answer
base64_() { base64 -w0 | tr -d '='; }                            # as all binary values: without padding
uuid7() { # a message's id: the time in milliseconds, then chance
  local time chance
  time=$(printf '%012x' "$(date +%s%3N)")
  chance=$(od -An -N10 -tx1 /dev/urandom | tr -d ' \n')
  echo "${time:0:8}-${time:8:4}-7${chance:0:3}-8${chance:3:3}-${chance:6:12}"
}
sign_up() { # NAME: makes an account and signs in; prints the session
  call POST /v1/accounts "{\"username\": \"$1\", \"password\": \"$password\"}" >/dev/null
  call POST /v1/sessions "{\"username\": \"$1\", \"password\": \"$password\", \"device\": {\"name\": \"curl\"}}"
}
public() { openssl pkey -in "$work/$1" -pubout -outform DER | tail -c 32 | base64_; } # the last 32 bytes are the key
publish_keys() { # NAME DEVICE TOKEN: the keys of a device, signed by itself over their canonical JSON
  openssl genpkey -algorithm ed25519 -out "$work/ed25519"
  openssl genpkey -algorithm x25519 -out "$work/x25519"
  local user="@$1:$server_name" keys signature
  keys="\"algorithms\":[\"roost.sealed.v1\"],\"device_id\":\"$2\""
  keys+=",\"keys\":{\"curve25519:$2\":\"$(public x25519)\",\"ed25519:$2\":\"$(public ed25519)\"}"
  printf '{%s,"user_id":"%s"}' "$keys" "$user" >"$work/signed"
  signature=$(openssl pkeyutl -sign -rawin -inkey "$work/ed25519" -in "$work/signed" | base64_)
  call POST /v1/keys/upload "{\"device_keys\": {$keys, \"user_id\": \"$user\",
    \"signatures\": {\"$user\": {\"ed25519:$2\": \"$signature\"}}}}" "$3" >/dev/null
}

session=$(sign_up "alice_$tail")
alice=$(member access_token <<<"$session")
publish_keys "alice_$tail" "$(member device_id <<<"$session")" "$alice"
session=$(sign_up "bob_$tail")
bob=$(member access_token <<<"$session")
device=$(member device_id <<<"$session")
publish_keys "bob_$tail" "$device" "$bob"

id=$(uuid7)
message="{\"id\": \"$id\", \"to\": \"bob_$tail\", \"sent_at_ms\": $(date +%s%3N), \"suite\": \"sealed.v1\",
  \"payloads\": {\"$device\": \"$(printf 'not sealed' | base64_)\"}}"
seq=$(call POST /v1/messages "$message" "$alice" | member seq)
again=$(call POST /v1/messages "$message" "$alice" | member seq)
echo "accepted as number $seq of bob's mailbox; with the same id again it is number $again"
page=$(call GET '/v1/sync?wait_s=20' '' "$bob")
echo "bob has a message from $(member from <<<"$page"): $(member payload <<<"$page" | base64 -d 2>/dev/null || true)"
call POST /v1/acks "{\"seq\": $(member cursor <<<"$page")}" "$bob" >/dev/null
for _ in $(seq 20); do
  state=$(call GET "/v1/messages/$id?to=bob_$tail" '' "$alice" 2>/dev/null | member state)
  [ "$state" != delivered ] || break
  sleep 0.1
done
echo "alice sees that it is $state"
problem=$(curl --silent "$server/v1/users/no_one_$tail" -H "Authorization: Bearer $alice")
echo "an error has a code: $(member code <<<"$problem")"
