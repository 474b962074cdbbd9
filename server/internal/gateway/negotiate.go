package gateway

import (
	"mime"
	"strconv"
	"strings"
)

// The media types of every answer but a stream. They name the same JSON: Spring's tell a client which generation of
// actuator endpoints it talks to (edges.md 2.1).
const (
	mediaJSON       = "application/json"
	mediaActuatorV3 = "application/vnd.spring-boot.actuator.v3+json"
	mediaActuatorV2 = "application/vnd.spring-boot.actuator.v2+json"
)

// The media types of a stream.
const (
	mediaLines  = "application/x-ndjson"
	mediaEvents = "text/event-stream"
)

func offered() []string { return []string{mediaJSON, mediaActuatorV3, mediaActuatorV2} }

// negotiate picks the media type of an answer.
func negotiate(accept []string) string { return choose(accept, offered()) }

// negotiateStream picks the format of a stream. To a client that asks for JSON, lines of JSON are what comes nearest.
func negotiateStream(accept []string) format {
	if choose(accept, append([]string{mediaLines, mediaEvents}, offered()...)) == mediaEvents {
		return events{}
	}
	return lines{}
}

// choose picks the media type with the highest quality in the Accept header, the first of several. It never finds that
// nothing is acceptable: a pause that was done must not be answered with 406, and clients that ask for text can read
// JSON. What is offered first is the default.
func choose(accept, offered []string) string {
	chosen, highest := offered[0], 0.0
	for element := range strings.SplitSeq(strings.Join(accept, ","), ",") {
		media, params, err := mime.ParseMediaType(element)
		if err != nil {
			continue
		}
		quality := qualityOf(params)
		if quality <= highest {
			continue
		}
		if media, ok := match(media, offered); ok {
			chosen, highest = media, quality
		}
	}
	return chosen
}

// match finds what is offered for a media range: the first that is in it.
func match(media string, offered []string) (string, bool) {
	family, isRange := strings.CutSuffix(media, "/*")
	for _, o := range offered {
		if media == o || media == "*/*" || isRange && strings.HasPrefix(o, family+"/") {
			return o, true
		}
	}
	return "", false
}

// qualityOf is the weight of a media range, 1 where none is given; one that cannot be read counts as none.
func qualityOf(params map[string]string) float64 {
	q, given := params["q"]
	if !given {
		return 1
	}
	quality, err := strconv.ParseFloat(q, 64)
	if err != nil || !(quality >= 0 && quality <= 1) {
		return 0
	}
	return quality
}

// preferredReturn is the client's preference for what is returned (RFC 7240, section 4.2): "minimal",
// "representation", or empty. The first one counts.
func preferredReturn(prefer []string) string {
	for element := range strings.SplitSeq(strings.Join(prefer, ","), ",") {
		preference, _, _ := strings.Cut(element, ";")
		name, value, _ := strings.Cut(preference, "=")
		if strings.EqualFold(strings.TrimSpace(name), "return") {
			return strings.ToLower(strings.Trim(strings.TrimSpace(value), `"`))
		}
	}
	return ""
}
