// Package browsertest looks at the page with Chromium, as whoever is on call
// does. It is a module of its own, so that users of the page do not get what
// drives the browser.
package browsertest
