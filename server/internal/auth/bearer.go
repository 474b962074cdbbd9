package auth

import (
	"strings"
)

// maxToken is more than providers put into a token, and what fits into a header beside others.
const maxToken = 16 << 10

// bearerOf is the token of a call's Authorization headers.
func bearerOf(headers []string) (string, error) {
	if len(headers) != 1 {
		return "", unauthenticated("there are several Authorization headers")
	}
	scheme, token, _ := strings.Cut(headers[0], " ")
	switch token = strings.Trim(token, " "); {
	case !strings.EqualFold(scheme, "Bearer"):
		return "", unauthenticated("the Authorization header is not of the scheme Bearer")
	case token == "":
		return "", unauthenticated("the Authorization header has no token")
	case len(token) > maxToken:
		return "", unauthenticated("the bearer token is too long")
	case strings.ContainsFunc(token, func(r rune) bool { return !isTokenRune(r) }):
		return "", unauthenticated("the bearer token has characters that none may have")
	}
	return token, nil
}

// isTokenRune reports whether a bearer token may have a character (RFC 6750, section 2.1).
func isTokenRune(r rune) bool {
	switch {
	case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
		return true
	}
	return strings.ContainsRune("-._~+/=", r)
}

func isStatic(token string) bool { return strings.HasPrefix(token, tokenPrefix) }

// isJWT reports whether a token is three parts with dots between them. That it has no other form keeps away those of JOSE
// that are JSON, or encrypted.
func isJWT(token string) bool { return strings.Count(token, ".") == 2 }
