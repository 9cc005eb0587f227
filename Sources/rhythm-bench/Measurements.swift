import Foundation

/// What one run of a case measured: numbers by key, in the units that the keys' figures name.
struct Measurements: Codable, Sendable {
    var values: [String: Double] = [:]

    subscript(key: String) -> Double? {
        get { values[key] }
        set { values[key] = newValue }
    }

    mutating func merge(_ other: Self) { values.merge(other.values) { $1 } }

    /// The p50 and p99 of `latencies` under `KEY_p50_us` and `KEY_p99_us`.
    mutating func set(_ key: String, _ latencies: Latencies) {
        guard latencies.count > 0 else { return }
        values["\(key)_p50_us"] = latencies.microseconds(atPercentile: 50)
        values["\(key)_p99_us"] = latencies.microseconds(atPercentile: 99)
    }

    /// As one line of JSON, which is how a case in a process of its own hands its values over.
    func line() throws -> String { String(decoding: try JSONEncoder().encode(values), as: UTF8.self) }

    /// Takes over what a program printed: numbers of the JSON object in its last line that is one; others are skipped.
    init(fromOutput text: String) throws {
        for line in text.split(separator: "\n").reversed() where line.hasPrefix("{") {
            guard let object = try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any] else {
                continue
            }
            values = object.compactMapValues { ($0 as? NSNumber)?.doubleValue }
            return
        }
        throw BenchError("a case printed no figures: \(text.suffix(500))")
    }

    init() {}

    /// Key by key the median of several runs.
    static func medians(of runs: [Self]) -> Self {
        var result = Self()
        for key in Set(runs.flatMap(\.values.keys)) {
            let sorted = runs.compactMap { $0[key] }.sorted()
            let middle = sorted.count / 2
            result[key] = sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
        }
        return result
    }
}

/// Why a benchmark cannot go on.
struct BenchError: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}
