package prom

// An Option changes what a [Collector] exports.
type Option func(*settings)

type settings struct {
	pool        string
	maxHosts    int
	withoutHTTP bool
}

// Pool gives the pool a name, the label lastack_pool_name. Collectors in one
// registry must have different names; one may have none.
func Pool(name string) Option { return func(s *settings) { s.pool = name } }

// MaxHosts says how many hosts have series of their own. The others are summed
// as the host "_other". Zero means 100; negative: no host has its own.
//
// Hosts are chosen once: the busiest of those that a scrape finds. One that has
// series keeps them, since the sum of the others would fall if they changed
// places.
func MaxHosts(n int) Option { return func(s *settings) { s.maxHosts = n } }

// WithoutHTTP leaves out the metrics of OpenTelemetry's conventions for HTTP
// clients, http_client_*: for pools of other connections than HTTP's, and where
// another library exports them.
func WithoutHTTP() Option { return func(s *settings) { s.withoutHTTP = true } }
