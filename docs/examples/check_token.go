// Checks an access token of bookstore-auth offline: signature, issuer, audience, kind, times and status list.
//
//	go get github.com/golang-jwt/jwt/v5 github.com/MicahParks/keyfunc/v3 golang.org/x/time/rate
//	go run check_token.go JWKS_URL ISSUER TOKEN [AUDIENCE]
//
// prints the user's id, or why the token is refused, with exit code 1. `-` as ISSUER: tokens name no issuer.
// In a service, make one Checker at the start and call Check for every request.
package main

import (
	"bytes"
	"compress/zlib"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/MicahParks/keyfunc/v3"
	"github.com/golang-jwt/jwt/v5"
	"golang.org/x/time/rate"
)

const (
	longestToken    = 16 * 1024
	longestList     = 8 * 1024 * 1024
	listFreshAtMost = time.Minute // whatever its ttl
)

// ErrUnavailable says that keys or status list cannot be had: answer 503. All other errors are 401.
var ErrUnavailable = errors.New("cannot tell")

var listName = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

// Claims of an access token in SimpleJWT's profile.
type Claims struct {
	jwt.RegisteredClaims
	TokenType string          `json:"token_type"`
	UserID    *int64          `json:"user_id"`
	Session   string          `json:"sid"`
	Client    json.RawMessage `json:"client_id"`
	Status    *struct {
		List *struct {
			Index *uint64 `json:"idx"`
			URI   string  `json:"uri"`
		} `json:"status_list"`
	} `json:"status"`
}

type listClaims struct {
	jwt.RegisteredClaims
	TTL  *uint32 `json:"ttl"`
	List struct {
		Bits uint64 `json:"bits"`
		Text string `json:"lst"`
	} `json:"status_list"`
}

type statusList struct {
	bits       uint64
	entries    []byte
	freshUntil time.Time
}

// Checker checks tokens of one service.
type Checker struct {
	keys       keyfunc.Keyfunc
	parser     *jwt.Parser
	listParser *jwt.Parser
	audience   string
	listPrefix string
	client     *http.Client
	mutex      sync.Mutex
	lists      map[string]statusList
}

// NewChecker makes a Checker; empty issuer and audience are not named by tokens.
func NewChecker(ctx context.Context, jwksURL, issuer, audience string) (*Checker, error) {
	// Renewed in the background, and for a key id that is not known, at most every ten seconds. It compares the header's
	// algorithm with the key's.
	withoutKeys := false
	keys, err := keyfunc.NewDefaultOverrideCtx(ctx, []string{jwksURL}, keyfunc.Override{
		HTTPTimeout:               5 * time.Second,
		NoErrorReturnFirstHTTPReq: &withoutKeys,
		RateLimitWaitMax:          time.Millisecond,
		RefreshInterval:           5 * time.Minute,
		RefreshUnknownKID:         rate.NewLimiter(rate.Every(10*time.Second), 1),
	})
	if err != nil {
		return nil, err
	}
	origin, err := url.Parse(jwksURL)
	if err != nil {
		return nil, err
	}
	common := []jwt.ParserOption{
		jwt.WithValidMethods([]string{"EdDSA", "ES256", "RS256"}),
		jwt.WithExpirationRequired(),
		jwt.WithIssuedAt(),
		jwt.WithStrictDecoding(),
	}
	options := append([]jwt.ParserOption{}, common...)
	if issuer != "" {
		options = append(options, jwt.WithIssuer(issuer))
	}
	if audience != "" {
		options = append(options, jwt.WithAudience(audience))
	}
	return &Checker{
		keys:       keys,
		parser:     jwt.NewParser(options...),
		listParser: jwt.NewParser(common...),
		audience:   audience,
		// Status lists come from the service and from nowhere else, whatever a token says.
		listPrefix: origin.Scheme + "://" + origin.Host + "/status-lists/",
		client: &http.Client{
			Timeout:       5 * time.Second,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		lists: map[string]statusList{},
	}, nil
}

// Check returns the claims of a good token.
func (c *Checker) Check(ctx context.Context, token string) (*Claims, error) {
	if len(token) > longestToken {
		return nil, errors.New("too long")
	}
	claims := &Claims{}
	parsed, err := c.parser.ParseWithClaims(token, claims, c.keys.Keyfunc)
	if err != nil {
		return nil, err
	}
	// A refresh token is signed by the same service. It is no access token.
	if parsed.Header["typ"] != "JWT" || claims.TokenType != "access" {
		return nil, errors.New("not an access token")
	}
	if claims.UserID == nil || claims.ID == "" || claims.Session == "" || claims.IssuedAt == nil {
		return nil, errors.New("a claim is missing")
	}
	// It is of an API key, and good only for what stands in `scope`: a service that wants such tokens looks there.
	if claims.Client != nil && string(claims.Client) != `"first-party"` {
		return nil, errors.New("given for an API key")
	}
	// Who has no name of its own is not among those that are named (RFC 7519 section 4.1.3).
	if c.audience == "" && len(claims.Audience) > 0 {
		return nil, errors.New("for somebody else")
	}
	if claims.Status == nil {
		return claims, nil
	}
	if claims.Status.List == nil || claims.Status.List.Index == nil {
		return nil, errors.New("no status list")
	}
	if err := c.checkStatus(ctx, claims.Status.List.URI, *claims.Status.List.Index); err != nil {
		return nil, err
	}
	return claims, nil
}

// checkStatus: the token's entry in its status list (draft-ietf-oauth-status-list) must be 0.
func (c *Checker) checkStatus(ctx context.Context, uri string, index uint64) error {
	name, below := strings.CutPrefix(uri, c.listPrefix)
	if !below || !listName.MatchString(name) {
		return errors.New("a status list elsewhere")
	}
	list, err := c.statusList(ctx, uri)
	if err != nil {
		return fmt.Errorf("%w: status list: %w", ErrUnavailable, err)
	}
	perByte := 8 / list.bits
	if index/perByte >= uint64(len(list.entries)) {
		return errors.New("no such entry in the status list")
	}
	// The lowest bits of a byte come first.
	value := uint64(list.entries[index/perByte]) >> (index % perByte * list.bits) & (1<<list.bits - 1)
	if value != 0 {
		return errors.New("revoked")
	}
	return nil
}

// statusList is fetched when it is older than its ttl.
func (c *Checker) statusList(ctx context.Context, uri string) (statusList, error) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if list, known := c.lists[uri]; known && time.Now().Before(list.freshUntil) {
		return list, nil
	}
	list, err := c.fetchList(ctx, uri)
	if err == nil {
		c.lists[uri] = list
	}
	return list, err
}

func (c *Checker) fetchList(ctx context.Context, uri string) (statusList, error) {
	none := statusList{}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, uri, nil)
	if err != nil {
		return none, err
	}
	request.Header.Set("Accept", "application/statuslist+jwt")
	answer, err := c.client.Do(request)
	if err != nil {
		return none, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, longestList))
	if err != nil {
		return none, err
	}
	if answer.StatusCode != http.StatusOK {
		return none, errors.New(answer.Status)
	}
	claims := &listClaims{}
	parsed, err := c.listParser.ParseWithClaims(string(bytes.TrimSpace(text)), claims, c.keys.Keyfunc)
	if err != nil {
		return none, err
	}
	bits := claims.List.Bits
	if parsed.Header["typ"] != "statuslist+jwt" || claims.Subject != uri || claims.IssuedAt == nil {
		return none, errors.New("another token")
	}
	if bits != 1 && bits != 2 && bits != 4 && bits != 8 {
		return none, errors.New("no status list")
	}
	entries, err := unpack(claims.List.Text)
	if err != nil {
		return none, err
	}
	fresh := listFreshAtMost
	if claims.TTL != nil {
		fresh = min(fresh, time.Duration(*claims.TTL)*time.Second)
	}
	return statusList{bits: bits, entries: entries, freshUntil: time.Now().Add(fresh)}, nil
}

func unpack(text string) ([]byte, error) {
	packed, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil {
		return nil, err
	}
	reader, err := zlib.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, err
	}
	entries, err := io.ReadAll(io.LimitReader(reader, longestList+1))
	if err == nil && len(entries) > longestList {
		err = errors.New("too long")
	}
	return entries, err
}

func main() {
	if len(os.Args) != 4 && len(os.Args) != 5 {
		fmt.Fprintln(os.Stderr, "usage: check_token JWKS_URL ISSUER TOKEN [AUDIENCE]")
		os.Exit(1)
	}
	issuer, audience := os.Args[2], ""
	if issuer == "-" {
		issuer = ""
	}
	if len(os.Args) == 5 {
		audience = os.Args[4]
	}
	ctx := context.Background()
	checker, err := NewChecker(ctx, os.Args[1], issuer, audience)
	if err == nil {
		var claims *Claims
		if claims, err = checker.Check(ctx, os.Args[3]); err == nil {
			fmt.Println(*claims.UserID)
			return
		}
	}
	fmt.Fprintln(os.Stderr, "refused:", err)
	os.Exit(1)
}
