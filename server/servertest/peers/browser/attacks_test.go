package browser_test

import (
	"strconv"
	"strings"
)

// attack is what a page tries. Its script is an expression in the name of a function's body: it knows url, and returns, or
// promises, what it could read of the answer.
type attack struct {
	name, script string
	// asksFirst: from another site the browser asks with OPTIONS whether it may, and is not told so. What it would have sent is
	// never sent.
	asksFirst bool
}

// attack tries something at a URL, and returns what the page could read.
func (b tab) attack(a attack, url string) string {
	b.Helper()
	return evaluate[string](b, "(() => {const url = "+strconv.Quote(url)+"\n"+library+"\nreturn "+strings.TrimSpace(a.script)+"\n})()")
}

// library is what the scripts have in common.
const library = `
	const nothing = () => ""
	const after = (ms, value) => new Promise(done => setTimeout(() => done(value), ms))
	const within = promise => Promise.race([promise, after(30000, "neither came nor failed")])
	// Some of what is refused tells the page neither that it came nor that it did not, and is not waited for.
	const brief = self.brief ?? 250
	const element = (name, attributes) => {
		const e = Object.assign(document.createElement(name), attributes)
		const told = new Promise(done => { e.onload = () => done("loaded"); e.onerror = () => done("") })
		document.body.append(e)
		return Promise.race([told, after(brief, "")]).then(loaded => (e.remove(), loaded))
	}
	const inside = (name, attributes, then = nothing, patience = brief) => {
		const e = Object.assign(document.createElement(name), attributes)
		document.body.append(e)
		const loaded = new Promise(done => { e.onload = e.onerror = done })
		then(e)
		const read = () => { try { return e.contentDocument?.body?.innerText ?? "" } catch (refused) { return "" } }
		return Promise.race([loaded, after(patience)]).then(() => { const text = read(); e.remove(); return text })
	}
	const form = (enctype, target) => {
		const f = Object.assign(document.createElement("form"), {method: "post", action: url, enctype, target})
		f.append(Object.assign(document.createElement("input"), {name: '{"configuredLevel":"OFF","a":"', value: '"}'}))
		document.body.append(f)
		f.submit()
	}
	const framed = enctype => {
		const name = "frame" + Math.random()
		return inside("iframe", {name}, () => form(enctype, name), 30000)
	}
	const asked = options => within(fetch(url, options).then(r => r.text(), nothing))
	const xhr = (method, headers, body) => within(new Promise(done => {
		const r = new XMLHttpRequest()
		r.open(method, url)
		r.withCredentials = true
		for (const name in headers) r.setRequestHeader(name, headers[name])
		r.onloadend = () => done(r.responseText)
		r.send(body)
	}))
	const level = '{"configuredLevel":"OFF"}'
`

// posts are the ways in which a page can send a POST.
var posts = []attack{
	{name: "form", script: `framed("application/x-www-form-urlencoded")`},
	{name: "multipart form", script: `framed("multipart/form-data")`},
	{name: "text form", script: `framed("text/plain")`},
	{name: "fetch", script: `asked({method: "POST"})`},
	{name: "fetch, no-cors", script: `asked({method: "POST", mode: "no-cors", credentials: "include", body: level})`},
	{name: "fetch with credentials", script: `asked({method: "POST", credentials: "include"})`},
	{name: "fetch, keepalive", script: `asked({method: "POST", keepalive: true, mode: "no-cors", referrerPolicy: "no-referrer"})`},
	{name: "fetch of JSON", script: `asked({method: "POST", headers: {"Content-Type": "application/json"}, body: level})`, asksFirst: true},
	{name: "fetch with a token", script: `asked({method: "POST", headers: {Authorization: "Bearer guess"}})`, asksFirst: true},
	{
		name:      "fetch as another method",
		script:    `asked({method: "POST", headers: {"X-HTTP-Method-Override": "POST", "Sec-Fetch-Site": "same-origin", Origin: location.origin}})`,
		asksFirst: true,
	},
	{name: "XMLHttpRequest", script: `xhr("POST", {}, level)`},
	{name: "XMLHttpRequest of JSON", script: `xhr("POST", {"Content-Type": "application/json"}, level)`, asksFirst: true},
	{name: "beacon", script: `navigator.sendBeacon(url, new Blob([level], {type: "text/plain"})) ? "" : "not sent"`},
	{name: "beacon of a form", script: `navigator.sendBeacon(url, new URLSearchParams({configuredLevel: "OFF"})) ? "" : "not sent"`},
	{name: "ping", script: `(Object.assign(document.createElement("a"), {href: "#cat", ping: url}).click(), "")`},
	{name: "sandboxed form", script: `
		(document.body.append(Object.assign(document.createElement("iframe"), {
			sandbox: "allow-scripts allow-forms",
			srcdoc: "<form method=post action='" + url.replaceAll("&", "&amp;") + "'></form><script>document.forms[0].submit()</script>",
		})), "")`},
}

// gets are the ways in which a page can ask for something.
var gets = []attack{
	{name: "image", script: `element("img", {src: url})`},
	{name: "script", script: `element("script", {src: url})`},
	{name: "module", script: `within(import(url).then(m => "module " + Object.keys(m), nothing))`},
	{name: "style", script: `element("link", {rel: "stylesheet", href: url})`},
	{name: "frame", script: `inside("iframe", {src: url})`},
	{name: "object", script: `inside("object", {data: url})`},
	{name: "fetch", script: `asked({})`},
	{name: "fetch with credentials", script: `asked({credentials: "include"})`},
	{name: "fetch, no-cors", script: `asked({mode: "no-cors"})`},
	{name: "XMLHttpRequest", script: `xhr("GET", {})`},
	{name: "EventSource", script: `
		within(new Promise(done => {
			const events = new EventSource(url, {withCredentials: true})
			events.onopen = () => done("open")
			events.addEventListener("status", e => done(e.data))
			events.onerror = () => (events.close(), done(""))
		}))`},
	{name: "WebSocket", script: `
		within(new Promise(done => {
			const socket = new WebSocket(url.replace("http", "ws"))
			socket.onopen = () => done("open")
			socket.onerror = () => done("")
		}))`},
}

// window is another way, which takes the browser longer.
var window = attack{name: "window", script: `
	(async () => {
		const opened = open(url)
		for (const end = performance.now() + 4 * brief; performance.now() < end; await after(20)) {
			try {
				const text = opened.document.body.innerText
				if (text) return text
			} catch (refused) { /* or not there yet */ }
		}
		return ""
	})()`}
