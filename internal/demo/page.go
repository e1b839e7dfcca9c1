package main

import (
	"io"
	"maps"
	"net"
	"net/http"
	"strconv"
	"time"

	"cmkguard/internal/alert/preview"
)

// page shows on loopback what the receivers took. It ends with this process, and
// answers to its own name only: a web page elsewhere that has its own name point
// to this machine reads nothing here.
type page struct {
	url    string
	server *http.Server
	from   *receivers
}

func showSent(from *receivers) (*page, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	host := l.Addr().String()
	p := &page{url: "http://" + host + "/", from: from}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", p.index)
	mux.HandleFunc("GET /count", p.count)
	mux.HandleFunc("GET /mail/{n}", p.mail)
	mux.HandleFunc("GET /style.css", p.file("style.css", "text/css"))
	mux.HandleFunc("GET /live.js", p.file("live.js", "text/javascript"))
	p.server = &http.Server{ReadHeaderTimeout: 5 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Host != host {
			http.Error(w, "this page is at "+p.url, http.StatusMisdirectedRequest)
			return
		}
		mux.ServeHTTP(w, r)
	})}
	go func() { _ = p.server.Serve(l) }()
	return p, nil
}

func (p *page) index(w http.ResponseWriter, r *http.Request) {
	all, n := p.from.messages()
	html, err := preview.Page(all, n, r.URL.Query().Get("channel"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	maps.Copy(w.Header(), preview.Headers())
	_, _ = w.Write(html)
}

// count is what the page asks to know whether something new was sent.
func (p *page) count(w http.ResponseWriter, _ *http.Request) {
	_, n := p.from.messages()
	_, _ = io.WriteString(w, strconv.Itoa(n))
}

// mail is the HTML part of one e-mail, for its frame.
func (p *page) mail(w http.ResponseWriter, r *http.Request) {
	all, _ := p.from.messages()
	for _, m := range all {
		if strconv.Itoa(m.N) != r.PathValue("n") || m.Kind != "email" {
			continue
		}
		parts, err := preview.ReadMail(m.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusUnprocessableEntity)
			return
		}
		maps.Copy(w.Header(), preview.MailHeaders())
		_, _ = io.WriteString(w, parts.HTML)
		return
	}
	http.NotFound(w, r)
}

func (p *page) file(name, contentType string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		text, ok := preview.File(name)
		if !ok {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		w.Header().Set("Content-Type", contentType)
		_, _ = w.Write(text)
	}
}
