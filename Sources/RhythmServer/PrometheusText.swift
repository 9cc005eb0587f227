import RhythmCore
package import RhythmWire

extension ServerStats {
    /// What Prometheus reads (text format 0.0.4): each metric as `rhythm_NAME`, the calls as a counter by method and code
    /// and a histogram of seconds by method.
    package var prometheusText: String {
        var text = ""
        for metric in metrics {
            let kind = metric.name.hasSuffix("_total") ? "counter" : "gauge"
            Self.begin("rhythm_\(metric.name)", kind, metric.help, in: &text)
            text += "rhythm_\(metric.name) \(metric.value)\n"
        }
        Self.begin("rhythm_calls_ended_total", "counter", "Calls that have ended, by their status.", in: &text)
        for call in calls {
            for (code, count) in call.ended.sorted(by: { $0.key < $1.key }) {
                text += "rhythm_calls_ended_total{method=\"\(call.name)\",code=\"\(Self.name(of: code))\"} \(count)\n"
            }
        }
        let name = "rhythm_call_duration_seconds"
        Self.begin(name, "histogram", "From a request's arrival until its answer went out.", in: &text)
        for call in calls {
            var count: UInt64 = 0
            for (index, durations) in call.durations.enumerated() {
                count += durations
                let isLast = index == call.durations.count - 1
                let bound = isLast ? "+Inf" : Self.seconds(1 << UInt64(index))
                text += "\(name)_bucket{method=\"\(call.name)\",le=\"\(bound)\"} \(count)\n"
            }
            text += "\(name)_sum{method=\"\(call.name)\"} \(Self.seconds(call.totalMicroseconds))\n"
            text += "\(name)_count{method=\"\(call.name)\"} \(count)\n"
        }
        return text
    }

    private static func begin(_ name: String, _ kind: String, _ help: String, in text: inout String) {
        text += "# HELP \(name) \(help)\n# TYPE \(name) \(kind)\n"
    }

    private static func name(of code: UInt32) -> String {
        RhythmError.Code(rawValue: Int32(clamping: code))?.name ?? "\(code)"
    }

    /// Microseconds as seconds, exactly: a bound must read the same in every scrape.
    private static func seconds(_ microseconds: UInt64) -> String {
        let rest = String(microseconds % 1_000_000)
        var fraction = String(repeating: "0", count: 6 - rest.count) + rest
        while fraction.last == "0" { fraction.removeLast() }
        return "\(microseconds / 1_000_000)" + (fraction.isEmpty ? "" : "." + fraction)
    }
}
