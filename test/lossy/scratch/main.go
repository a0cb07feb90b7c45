package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"strconv"
	"time"

	quicgo "github.com/quic-go/quic-go"

	"github.com/outrider-mesh/outrider/test/lossy/wire"
)

func main() {
	ctx := context.Background()
	loss, _ := strconv.ParseFloat(os.Args[1], 64)
	size, _ := strconv.Atoi(os.Args[2])
	gap, _ := time.ParseDuration(os.Args[3])
	near, err := wire.There(ctx, "192.0.2.1")
	if err != nil {
		panic(err)
	}
	far, err := wire.There(ctx, "192.0.2.2")
	if err != nil {
		panic(err)
	}
	w := wire.Join(ctx, near, far, 7)
	w.Set(wire.Path{Delay: 10 * time.Millisecond, Loss: loss})
	var a, b *net.UDPConn
	near.In(func() { a, err = net.ListenUDP("udp4", &net.UDPAddr{}) })
	far.In(func() { b, err = net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(192, 0, 2, 2), Port: 999}) })
	a.SetReadBuffer(7 << 20)
	b.SetReadBuffer(7 << 20)
	key, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, _ := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	tc := &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, NextProtos: []string{"x"}, InsecureSkipVerify: true}
	cfg := &quicgo.Config{
		InitialStreamReceiveWindow: 256 << 10, MaxStreamReceiveWindow: 1 << 20, InitialConnectionReceiveWindow: 1 << 20, MaxConnectionReceiveWindow: 4 << 20,
	}
	if len(os.Args) > 4 {
		cfg.InitialStreamReceiveWindow, cfg.InitialConnectionReceiveWindow = 1<<20, 4<<20
	}
	ln, err := (&quicgo.Transport{Conn: b}).Listen(tc, cfg)
	if err != nil {
		panic(err)
	}
	go func() {
		c, err := ln.Accept(ctx)
		if err != nil {
			panic(err)
		}
		go func() {
			for range time.Tick(500 * time.Millisecond) {
				s := c.ConnectionStats()
				fmt.Printf("   server cwnd %d lost %d sent %d srtt %v\n", s.CongestionWindow, s.PacketsLost, s.PacketsSent, s.SmoothedRTT)
			}
		}()
		for {
			s, err := c.AcceptStream(ctx)
			if err != nil {
				return
			}
			go func() {
				defer s.Close()
				buf := make([]byte, 1)
				for {
					if _, err := io.ReadFull(s, buf); err != nil {
						return
					}
					s.Write(make([]byte, size))
				}
			}()
		}
	}()
	c, err := (&quicgo.Transport{Conn: a}).Dial(ctx, b.LocalAddr(), tc, cfg)
	if err != nil {
		panic(err)
	}
	s, _ := c.OpenStream()
	for range 25 {
		start := time.Now()
		s.Write([]byte{1})
		io.ReadFull(s, make([]byte, size))
		fmt.Println(time.Since(start))
		time.Sleep(gap)
	}
}
