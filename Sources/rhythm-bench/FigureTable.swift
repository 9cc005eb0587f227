import Foundation

/// A figure of the report: which measurement it is, and what it must reach.
struct Figure {
    /// What it must reach.
    enum Bar {
        case atLeast(Double)
        case atMost(Double)
    }

    let key: String
    let title: String
    let unit: String
    var bar: Bar?

    init(_ key: String, _ title: String, _ unit: String, _ bar: Bar? = nil) {
        self.key = key
        self.title = title
        self.unit = unit
        self.bar = bar
    }

    /// How many times as good as its bar a value is; from 1 on it passes. Nil without a bar.
    func ratio(_ value: Double) -> Double? {
        switch bar {
        case .atLeast(let least): value / least
        case .atMost(let most): value > 0 ? most / value : nil
        case nil: nil
        }
    }
}

/// Figures with their bars, as an aligned table or as JSON.
struct FigureTable {
    let figures: [Figure]
    let measured: Measurements

    private var present: [(figure: Figure, value: Double)] {
        figures.compactMap { figure in measured[figure.key].map { (figure, $0) } }
    }

    /// Whether every bar that was measured holds.
    var passes: Bool { present.allSatisfy { $0.figure.ratio($0.value) ?? 1 >= 1 } }

    var text: String {
        let head = ["figure", "value", "unit", "bar", "ratio", ""]
        let rows = present.map { figure, value in
            let bar =
                switch figure.bar {
                case .atLeast(let least): ">= " + Self.short(least)
                case .atMost(let most): "<= " + Self.short(most)
                case nil: ""
                }
            let ratio = figure.ratio(value)
            return [
                figure.title, Self.short(value), figure.unit, bar, ratio.map { String(format: "%.2f", $0) } ?? "",
                ratio.map { $0 >= 1 ? "pass" : "FAIL" } ?? "",
            ]
        }
        let widths = head.indices.map { column in ([head] + rows).map { $0[column].count }.max() ?? 0 }
        return ([head] + rows).map { row in
            row.indices.map { column in
                let space = String(repeating: " ", count: widths[column] - row[column].count)
                // Numbers stand right, words left.
                return [1, 3, 4].contains(column) ? space + row[column] : row[column] + space
            }.joined(separator: "  ").trimmingSuffix(" ")
        }.joined(separator: "\n")
    }

    var json: String {
        get throws {
            let rows = present.map { figure, value -> [String: Any] in
                var row: [String: Any] = [
                    "figure": figure.key, "title": figure.title, "value": value, "unit": figure.unit,
                ]
                switch figure.bar {
                case .atLeast(let least): row["at_least"] = least
                case .atMost(let most): row["at_most"] = most
                case nil: break
                }
                if let ratio = figure.ratio(value) {
                    row["ratio"] = ratio
                    row["pass"] = ratio >= 1
                }
                return row
            }
            let object: [String: Any] = ["figures": rows, "load_average": SystemFigures.loadAverage]
            let data = try JSONSerialization.data(withJSONObject: object, options: [.prettyPrinted, .sortedKeys])
            return String(decoding: data, as: UTF8.self)
        }
    }

    /// Four significant digits at most.
    private static func short(_ value: Double) -> String {
        switch abs(value) {
        case 100...: String(format: "%.0f", value)
        case 10...: String(format: "%.1f", value)
        default: String(format: "%.2f", value)
        }
    }
}

extension String {
    fileprivate func trimmingSuffix(_ character: Character) -> String {
        var text = self
        while text.last == character { text.removeLast() }
        return text
    }
}
