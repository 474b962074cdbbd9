package telemetry

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// gauges are metrics whose series are made when they are scraped.
type gauges []*prometheus.Desc

func (g *gauges) add(name, help string, labels ...string) *prometheus.Desc {
	d := prometheus.NewDesc("exportgate_"+name, help, labels, nil)
	*g = append(*g, d)
	return d
}

// Describe implements [prometheus.Collector].
func (g *gauges) Describe(out chan<- *prometheus.Desc) {
	for _, d := range *g {
		out <- d
	}
}

// scrape takes what is told at one.
type scrape chan<- prometheus.Metric

func (s scrape) gauge(d *prometheus.Desc, value float64, labels ...string) {
	for i := range labels {
		labels[i] = clean(labels[i])
	}
	m, err := prometheus.NewConstMetric(d, prometheus.GaugeValue, value, labels...)
	if err != nil {
		m = prometheus.NewInvalidMetric(d, err)
	}
	s <- m
}

// moment tells an instant, unless it is not known.
func (s scrape) moment(d *prometheus.Desc, t time.Time, labels ...string) {
	if !t.IsZero() {
		s.gauge(d, float64(t.UnixMilli())/1000, labels...)
	}
}

func (s scrape) is(d *prometheus.Desc, yes bool, labels ...string) {
	value := 0.0
	if yes {
		value = 1
	}
	s.gauge(d, value, labels...)
}
