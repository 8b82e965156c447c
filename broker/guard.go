package main

import (
	"crypto/tls"
	"errors"
	"flag"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"
)

// guard runs a server that knows no TLS on a socket in a folder of its own, and speaks TLS before it. It ends as the
// server does; a signal to end is the server's.
func guard(arguments []string) error {
	flags := flag.NewFlagSet("guard", flag.ExitOnError)
	listen := flags.String("listen", "", "`host:port` to listen on")
	folder := flags.String("folder", "", "`folder` to run in, which others may not enter")
	socket := flags.String("socket", "", "`name` of the server's socket there")
	files := pemFlags(flags)
	_ = flags.Parse(arguments)
	command := flags.Args()
	if *listen == "" || *folder == "" || *socket == "" || !files.given() || len(command) == 0 {
		flags.Usage()
		os.Exit(2)
	}
	config, err := files.config()
	if err != nil {
		return err
	}
	// From there the socket's name is short: a path is of 107 bytes at most.
	if err := os.Chdir(*folder); err != nil {
		return err
	}
	if err := os.Remove(*socket); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	listener, err := tls.Listen("tcp", *listen, config)
	if err != nil {
		return err
	}
	ends := make(chan os.Signal, 1)
	signal.Notify(ends, os.Interrupt, syscall.SIGTERM)
	runtime.LockOSThread() // the server ends with the thread that started it
	server := exec.Command(command[0], command[1:]...)
	server.Stdout, server.Stderr = os.Stdout, os.Stderr
	server.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := server.Start(); err != nil {
		return err
	}
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			go join(client, *socket)
		}
	}()
	go func() {
		for each := range ends {
			_ = server.Process.Signal(each) // it may have ended by itself
		}
	}()
	return server.Wait()
}

// join passes on what a client and the server say, until either ends.
func join(client net.Conn, socket string) {
	defer client.Close()
	server, err := net.Dial("unix", socket)
	if err != nil {
		return // it is not there yet, or no longer: the client is to see the same
	}
	defer server.Close()
	go func() {
		_, _ = io.Copy(server, client)
		server.Close()
	}()
	_, _ = io.Copy(client, server)
}
