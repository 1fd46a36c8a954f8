package main

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/hamba/avro/v2"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

var kinds = map[string]byte{"IP": 1, "DEVICE": 2, "TLS": 3, "CARD": 4, "BANK_ACCOUNT": 5, "EMAIL": 6, "PHONE": 7, "API_KEY": 8, "REFERRAL": 11, "END_USER": 12}

type key struct {
	Kind       string     `json:"kind"`
	Epoch      byte       `json:"epoch"`
	Key        string     `json:"key"`
	ValidUntil *time.Time `json:"valid_until"`
}

// tokens: one for each epoch of keys in use: kind, epoch, the first 15 bytes of HMAC-SHA-256 over the normal form.
func tokens(keys []key, kind, form string) (found [][]byte) {
	for _, one := range keys {
		if one.Kind != kind || (one.ValidUntil != nil && one.ValidUntil.Before(time.Now())) {
			continue
		}
		secret, err := base64.StdEncoding.DecodeString(one.Key)
		must(err)
		mac := hmac.New(sha256.New, secret)
		mac.Write([]byte(form))
		found = append(found, append([]byte{kinds[kind], one.Epoch}, mac.Sum(nil)[:15]...))
	}
	return found
}

type usage struct {
	EventID       []byte    `avro:"event_id"`
	OccurredAt    time.Time `avro:"occurred_at"`
	Account       string    `avro:"account"`
	Identifiers   [][]byte  `avro:"identifiers"`
	WindowSeconds int       `avro:"window_seconds"`
	Model         string    `avro:"model"`
	Task          string    `avro:"task"`
	Requests      int       `avro:"requests"`
	InputTokens   int64     `avro:"input_tokens"`
	OutputTokens  int64     `avro:"output_tokens"`
	EndUser       *[]byte   `avro:"end_user"`
	AddressClass  string    `avro:"address_class"`
}

type receipt struct {
	EventID    []byte    `avro:"event_id"`
	OccurredAt time.Time `avro:"occurred_at"`
	ActionID   string    `avro:"action_id"`
	Revision   int       `avro:"revision"`
	Status     string    `avro:"status"`
	Reason     *string   `avro:"reason"`
	Note       *string   `avro:"note"`
}

type action struct { // the fields that this program looks at; the others are skipped
	ActionID      string  `avro:"action_id"`
	Revision      int     `avro:"revision"`
	Measure       string  `avro:"measure"`
	TargetAccount *string `avro:"target_account"`
}

// A message is Avro in single-object encoding: C3 01, fingerprint, body. `weaklink schema export` writes the first ten bytes to headers.json.
// (hamba's own soe package counts logical types in, which the Avro specification leaves out, and so comes to other fingerprints.)
func schema(record string) (header []byte, found avro.Schema) {
	folder, headers := os.Getenv("WEAKLINK_SCHEMAS"), map[string]string{}
	text, err := os.ReadFile(filepath.Join(folder, "headers.json"))
	must(err)
	must(json.Unmarshal(text, &headers))
	header, err = hex.DecodeString(headers[record])
	must(err)
	text, err = os.ReadFile(filepath.Join(folder, record+".avsc"))
	must(err)
	return header, avro.MustParse(string(text))
}

func encoded(record string, value any) []byte {
	header, schema := schema(record)
	body, err := avro.Marshal(schema, value)
	must(err)
	return append(header, body...)
}

func decode(record string, value []byte, into any) {
	header, schema := schema(record)
	if !bytes.HasPrefix(value, header) {
		log.Fatalf("not a %s of the version that is known here", record)
	}
	must(avro.Unmarshal(schema, value[len(header):], into))
}

func main() {
	if len(os.Args) > 1 { // test vectors: does this program make the tokens that everybody else makes?
		checkVectors(os.Args[1])
		return
	}
	ctx, party := context.Background(), os.Getenv("WEAKLINK_PARTY")
	events, actions := "party."+party+".events", "party."+party+".actions"
	keys := read(os.Getenv("WEAKLINK_PARTNER__KEY_FILE")).Keys
	options := []kgo.Opt{
		kgo.SeedBrokers(strings.Split(os.Getenv("WEAKLINK_KAFKA__BOOTSTRAP_SERVERS"), ",")...),
		kgo.SASL(scram.Auth{User: os.Getenv("WEAKLINK_KAFKA__USERNAME"), Pass: os.Getenv("WEAKLINK_KAFKA__PASSWORD")}.AsSha512Mechanism()),
		kgo.ProducerBatchCompression(kgo.Lz4Compression()),
		kgo.ConsumerGroup(actions), kgo.ConsumeTopics(actions), kgo.DisableAutoCommit(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
	}
	if os.Getenv("WEAKLINK_KAFKA__SECURITY_PROTOCOL") == "SASL_SSL" {
		options = append(options, kgo.DialTLSConfig(authority()))
	}
	client, err := kgo.NewClient(options...)
	must(err)
	defer client.Close()

	// 1. Publish what an account did in a minute. The key is the account, so that one account's events stay in order.
	id := make([]byte, 16)
	rand.Read(id)
	event := encoded("ApiUsage", usage{
		EventID: id, OccurredAt: time.Now(), Account: "cust-42",
		Identifiers:   append(tokens(keys, "IP", "203.0.113.7"), tokens(keys, "CARD", "pan:4111111111111111")...),
		WindowSeconds: 60, Model: "large-4", Task: "REASONING_ELICITATION",
		Requests: 31, InputTokens: 9_000, OutputTokens: 52_000, AddressClass: "UNKNOWN",
	})
	published, err := client.ProduceSync(ctx, &kgo.Record{Topic: events, Key: []byte("cust-42"), Value: event}).First()
	must(err)
	fmt.Println("published at offset", published.Offset)

	// 2. Take one action, do it, and answer.
	fetches := client.PollFetches(ctx)
	must(fetches.Err())
	for _, record := range fetches.Records() {
		var asked action
		decode("EnforcementAction", record.Value, &asked)
		target := "a token" // target_token: one that you sent
		if asked.TargetAccount != nil {
			target = *asked.TargetAccount
		}
		fmt.Println(asked.Measure, target) // your own enforcement here: while state is ACTIVE do it, else undo it
		answer := sha256.Sum256([]byte(fmt.Sprintf("%s|%s|%d|DONE", party, asked.ActionID, asked.Revision)))
		done := encoded("ActionReceipt", receipt{
			EventID: answer[:16], OccurredAt: time.Now(), // the same answer twice counts once
			ActionID: asked.ActionID, Revision: asked.Revision, Status: "DONE",
		})
		must(client.ProduceSync(ctx, &kgo.Record{Topic: events, Key: []byte(asked.ActionID), Value: done}).FirstErr())
	}
	must(client.CommitUncommittedOffsets(ctx)) // only now: after a crash the action comes again
}

type keyFile struct {
	Keys    []key                                `json:"keys"`
	Vectors []struct{ Kind, Form, Token string } `json:"vectors"`
}

func read(path string) (file keyFile) {
	text, err := os.ReadFile(path)
	must(err)
	must(json.Unmarshal(text, &file))
	return file
}

func checkVectors(path string) {
	file := read(path)
	for _, one := range file.Vectors {
		if made := hex.EncodeToString(tokens(file.Keys, one.Kind, one.Form)[0]); made != one.Token {
			log.Fatalf("%s %s: made %s where %s is right", one.Kind, one.Form, made, one.Token)
		}
	}
	fmt.Println(len(file.Vectors), "vectors agree")
}

func authority() *tls.Config {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if path := os.Getenv("WEAKLINK_KAFKA__SSL_CAFILE"); path != "" {
		text, err := os.ReadFile(path)
		must(err)
		config.RootCAs = x509.NewCertPool()
		config.RootCAs.AppendCertsFromPEM(text)
	}
	return config
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
