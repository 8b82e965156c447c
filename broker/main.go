// The embedded broker: kfake of franz-go, a Kafka of one node that keeps its log in a folder.
//
// It deletes nothing unless it is told to, and ends in order at SIGTERM. What it confirmed survives
// its own crash; unless -sync=false it is on disk by then, and survives a power cut, too.
//
// `roost-broker guard` is no broker: it speaks TLS before a server that cannot.
package main

import (
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/twmb/franz-go/pkg/kfake"
)

// shown is a listener that names another address than the one it listens on. kfake sends its clients
// to the address that the listener names.
type shown struct {
	net.Listener
	address string
}

func (s shown) Addr() net.Addr  { return s }
func (s shown) Network() string { return "tcp" }
func (s shown) String() string  { return s.address }

// configs are the broker's own; a topic's settings would come before them.
var configs = map[string]string{
	// Who knows what is stored elsewhere says what may go. Nothing goes by itself.
	"log.retention.ms":          "-1",
	"log.retention.bytes":       "-1",
	"offsets.retention.minutes": "2147483647",
	// A file goes when all of it may. Small files keep little for nothing; each costs a descriptor.
	"log.segment.bytes": "8388608",
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "guard" {
		end(guard(os.Args[2:]))
	}
	// kfake handles one request after the other. To hand each step of a request to another thread, which
	// sleeps and must be woken, is a quarter of what a lone message costs here.
	runtime.GOMAXPROCS(1)
	listen := flag.String("listen", "127.0.0.1:9092", "`host:port` to listen on")
	advertised := flag.String("advertised", "", "`host:port` that clients are sent to; where it listens by default")
	data := flag.String("data", "", "`folder` that the log is kept in")
	sync := flag.Bool("sync", true, "force each batch to disk before it is confirmed")
	user := flag.String("user", "", "`name` of the one who must sign in, with "+mechanism+"; everyone is served by default")
	passwordFile := flag.String("password-file", "", "`file` with the password of that user")
	files := pemFlags(flag.CommandLine)
	flag.Parse()
	if *data == "" || flag.NArg() != 0 || (*user == "") != (*passwordFile == "") {
		flag.Usage()
		os.Exit(2)
	}
	end(serve(*listen, *advertised, *data, *sync, *user, *passwordFile, files))
}

func end(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "roost-broker:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// serve runs the broker until a signal ends it.
func serve(listen, advertised, data string, sync bool, user, passwordFile string, files pems) error {
	ends := make(chan os.Signal, 1)
	signal.Notify(ends, os.Interrupt, syscall.SIGTERM)
	lock, err := alone(data)
	if err != nil {
		return err
	}
	defer lock.Close()
	var config *tls.Config
	if files.given() {
		if config, err = files.config(); err != nil {
			return err
		}
	}
	options := []kfake.Opt{
		kfake.NumBrokers(1),
		kfake.DataDir(data),
		kfake.BrokerConfigs(configs),
		kfake.WithLogger(kfake.BasicLogger(os.Stderr, kfake.LogLevelWarn)),
		kfake.ListenFn(func(network, _ string) (net.Listener, error) {
			listener, err := net.Listen(network, listen)
			if err != nil {
				return nil, err
			}
			if config != nil {
				listener = tls.NewListener(listener, config)
			}
			if user != "" {
				listener = naming{listener}
			}
			if advertised != "" {
				listener = shown{listener, advertised}
			}
			return listener, nil
		}),
	}
	if sync {
		options = append(options, kfake.SyncWrites())
	}
	if user != "" {
		password, err := os.ReadFile(passwordFile)
		if err != nil {
			return err
		}
		// kfake would believe what it kept of users instead, whoever made them before there were passwords.
		if err := os.Remove(filepath.Join(data, "sasl.json")); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		options = append(options, kfake.EnableSASL(), kfake.Superuser(mechanism, user, strings.TrimSpace(string(password))))
	}
	cluster, err := kfake.NewCluster(options...)
	if err != nil {
		return err
	}
	debug.FreeOSMemory() // it has just read all of the log
	<-ends
	cluster.Close()
	return nil
}

// alone returns when no other process uses the folder: one that was killed may not be gone yet.
func alone(data string) (*os.File, error) {
	if err := os.MkdirAll(data, 0o700); err != nil {
		return nil, err
	}
	lock, err := os.OpenFile(filepath.Join(data, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	return lock, syscall.Flock(int(lock.Fd()), syscall.LOCK_EX)
}
