package main

import (
	"encoding/binary"
	"net"
)

const mechanism = "SCRAM-SHA-256"

// naming is a listener whose connections name the mechanism when a client has asked for it.
type naming struct{ net.Listener }

func (n naming) Accept() (net.Conn, error) {
	conn, err := n.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &handshake{Conn: conn}, nil
}

// handshake is a connection on which the first answer to a SaslHandshake lists the mechanism. kfake lists none unless
// it refuses, and clients such as aiokafka take that for a refusal. Before the sign-in no other answer is that short.
type handshake struct {
	net.Conn
	over bool
}

// A SaslHandshake's answer without mechanisms: size, correlation id, error code, length of the list.
const emptyAnswer = 4 + 4 + 2 + 4

func (h *handshake) Write(answer []byte) (int, error) {
	if h.over || len(answer) != emptyAnswer || binary.BigEndian.Uint16(answer[8:]) != 0 {
		return h.Conn.Write(answer)
	}
	h.over = true
	full := append([]byte{}, answer[:10]...)
	full = binary.BigEndian.AppendUint32(full, 1)
	full = binary.BigEndian.AppendUint16(full, uint16(len(mechanism)))
	full = append(full, mechanism...)
	binary.BigEndian.PutUint32(full, uint32(len(full)-4))
	if _, err := h.Conn.Write(full); err != nil {
		return 0, err
	}
	return len(answer), nil
}
