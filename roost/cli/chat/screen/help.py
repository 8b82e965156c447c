"""What every key does."""

from typing import Final

HELP: Final = """\
Anywhere
  F1           this help               F2      conversations
  F3           search                  F4      send a file
  F5           disappearing messages   F6      safety number
  F7           your devices, linking   F8      block, unblock
  Ctrl+N       a new conversation      Ctrl+P  all acts, by name
  Ctrl+Up      the one above           Ctrl+Down  the one below
  Ctrl+Q       quit, as Ctrl+C does    Tab     to the next part

Writing
  Enter        send                    Alt+Enter, Ctrl+J  new line
  Up           to the messages         Page Up, Page Down  scroll
  Esc          no reply, no edit

Messages
  Up, Down     choose one              Enter, r  reply
  a            react                   e       edit yours
  d            delete yours for both   s, o    save, open its file
  y            copy its text           i       all about it
  Esc          back to writing

Conversations
  Up, Down     choose one              Enter   open it
  n            a new one

Marks
  ✓ sent       the server has it
  ✓✓ delivered a device of theirs has it
  ✓✓ read      they have seen it
  ○ ●          away, here
  !            something is the matter with their keys: F6
"""
