package azuresim

import (
	"net/http"
	"strings"
)

// serveEntra is the token endpoint of the client-credentials flow and the
// discovery document that leads there [D: OpenID Connect discovery; v2.0
// client credentials]. A caller's client id is its object id, and any secret is
// right: who may do what is the matter here, not who knows a password.
func (s *Sim) serveEntra(w http.ResponseWriter, r *http.Request) {
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	base := "https://" + r.Host + "/" + parts[0]
	switch {
	case strings.HasSuffix(r.URL.Path, "/.well-known/openid-configuration"):
		writeJSON(w, http.StatusOK, map[string]any{
			"issuer": base + "/v2.0", "authorization_endpoint": base + "/oauth2/v2.0/authorize", "token_endpoint": base + "/oauth2/v2.0/token",
			"jwks_uri": base + "/discovery/v2.0/keys",
		})
	case strings.HasSuffix(r.URL.Path, "/discovery/v2.0/keys"):
		writeJSON(w, http.StatusOK, s.keySet())
	case r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/oauth2/v2.0/token"):
		s.serveToken(w, r)
	default:
		writeError(w, http.StatusNotFound, "NotFound", "nothing answers at "+r.URL.Path, "")
	}
}

func (s *Sim) serveToken(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		writeJSON(w, http.StatusBadRequest, map[string]any{"error": "invalid_request", "error_description": err.Error()})
		return
	}
	for token, c := range s.callers {
		if strings.EqualFold(c.ObjectID, r.PostForm.Get("client_id")) {
			writeJSON(w, http.StatusOK, map[string]any{"token_type": "Bearer", "expires_in": 3599, "ext_expires_in": 3599, "access_token": token})
			return
		}
	}
	writeJSON(w, http.StatusUnauthorized, map[string]any{
		"error": "invalid_client", "error_description": "AADSTS700016: Application with identifier '" + r.PostForm.Get("client_id") + "' was not found in the directory.",
	})
}
