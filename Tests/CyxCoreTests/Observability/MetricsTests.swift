import CyxCore
import Testing

struct MetricsTests {
    @Test func theExpositionIsPrometheusText() {
        let metrics = MetricsRegistry()
        metrics.counter("b_total", [("op", "get")]).add(3)
        metrics.counter("b_total", [("op", "a\"b\\c\n")]).add()
        metrics.gauge("a_ratio").set(0.5)
        metrics.gauge("a_bytes").set(1_048_576)
        let histogram = metrics.histogram("c_seconds", [("op", "put")], bounds: [0.1, 1])
        for value in [0.05, 0.1, 0.5, 7] { histogram.observe(value) }
        metrics.collect { [Measurement("d_info", .gauge, 1, labels: [("version", "1.0")])] }
        #expect(
            metrics.exposition() == """
                # TYPE a_bytes gauge
                a_bytes 1048576
                # TYPE a_ratio gauge
                a_ratio 0.5
                # TYPE b_total counter
                b_total{op="a\\"b\\\\c\\n"} 1
                b_total{op="get"} 3
                # TYPE c_seconds histogram
                c_seconds_bucket{op="put",le="0.1"} 2
                c_seconds_bucket{op="put",le="1"} 3
                c_seconds_bucket{op="put",le="+Inf"} 4
                c_seconds_sum{op="put"} 7.65
                c_seconds_count{op="put"} 4
                # TYPE d_info gauge
                d_info{version="1.0"} 1

                """)
    }

    @Test func theSameNameAndLabelsAreTheSameMetric() {
        let metrics = MetricsRegistry()
        metrics.histogram("x").observe(1)
        #expect(metrics.histogram("x").snapshot.count == 1)
        #expect(metrics.counter("y", [("a", "1")]) === metrics.counter("y", [("a", "1")]))
        #expect(metrics.counter("y", [("a", "1")]) !== metrics.counter("y", [("a", "2")]))
    }

    @Test func theProcessTellsAboutItself() {
        let metrics = MetricsRegistry()
        ProcessMetrics.register(in: metrics, version: "0.1")
        let text = metrics.exposition()
        for name in [
            "process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds",
            "process_start_time_seconds", "cyxcloud_build_info{version=\"0.1\"}",
        ] {
            #expect(text.contains("\n\(name) "))
        }
        #expect((ProcessMetrics.residentBytes() ?? 0) > 1 << 20)
    }
}
