package otel

// An Option changes what an [Exporter] exports.
type Option func(*settings)

type settings struct {
	pool        string
	maxHosts    int
	withoutHTTP bool
}

// Pool gives the pool a name, the attribute lastack.pool.name. Pools that
// share a provider must have different names; one may have none.
func Pool(name string) Option { return func(s *settings) { s.pool = name } }

// MaxHosts says how many hosts have series of their own. The others are summed
// as the server.address "_other". Zero means 100; negative: no host has its
// own.
//
// Hosts are chosen once: the first that the pool uses, and where a collection
// finds several new ones, the busiest of those. One that has series keeps them,
// since the sum of the others would fall if they changed places.
func MaxHosts(n int) Option { return func(s *settings) { s.maxHosts = n } }

// WithoutHTTP leaves out the instruments of OpenTelemetry's conventions for
// HTTP clients, http.client.*: for pools of other connections than HTTP's, and
// where another library has them.
func WithoutHTTP() Option { return func(s *settings) { s.withoutHTTP = true } }
