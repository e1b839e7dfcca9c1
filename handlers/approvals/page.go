package approvals

import (
	_ "embed"
	"html/template"
	"net/http"
	"strings"

	"cmkguard/internal/approval"
	"cmkguard/internal/funchost"
	"cmkguard/internal/guard"
)

//go:embed page.html
var pageText string

// headers keep the page from being framed, from loading anything, and from sending
// its form elsewhere.
func headers() map[string]string {
	return map[string]string{
		"Content-Type":            "text/html; charset=utf-8",
		"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
		"Referrer-Policy":         "no-referrer",
	}
}

func page(h guard.Held, who approval.Person, mark string) funchost.Response {
	return render("plan", map[string]any{"Held": h, "Who": who, "Mark": mark})
}

func done(d approval.Decision) funchost.Response { return render("done", d) }

func render(name string, data any) funchost.Response {
	t, err := template.New("").Parse(pageText)
	if err != nil {
		return problem(http.StatusInternalServerError, "the page could not be made") // unreachable: a test renders it
	}
	var b strings.Builder
	if err := t.ExecuteTemplate(&b, name, data); err != nil {
		return problem(http.StatusInternalServerError, "the page could not be made")
	}
	return funchost.Response{Status: http.StatusOK, Header: headers(), Body: b.String()}
}
