/// Few rows in which every pair of values of different factors occurs: most faults that need a certain setting need one
/// or two of them.
///
/// Greedy, and the same rows each time: each next row begins with a pair that is still missing, and takes for every other
/// factor the value that covers most of what is missing.
package struct Pairwise: Sendable {
    package struct Factor: Sendable {
        package var name: String
        package var values: [String]

        package init(_ name: String, _ values: [String]) {
            self.name = name
            self.values = values
        }
    }

    /// A value of a factor, by their places.
    package struct Choice: Sendable, Hashable {
        package var factor: Int
        package var value: Int
    }

    /// Two values that cannot be had together.
    package struct Exclusion: Sendable {
        package var first: Choice
        package var second: Choice
        package var reason: String
    }

    /// The value of each factor.
    package typealias Row = [Int]

    package let factors: [Factor]
    package let exclusions: [Exclusion]
    private let excluded: Set<Set<Choice>>

    /// - Parameter exclusions: by names, as `("pool", "gevent", "autoscale", "on", reason)`.
    package init(_ factors: [Factor], exclusions: [(String, String, String, String, reason: String)] = []) {
        self.factors = factors
        func choice(_ name: String, _ value: String) -> Choice? {
            guard let factor = factors.firstIndex(where: { $0.name == name }),
                let place = factors[factor].values.firstIndex(of: value)
            else { return nil }
            return Choice(factor: factor, value: place)
        }
        self.exclusions = exclusions.map { exclusion in
            guard let first = choice(exclusion.0, exclusion.1), let second = choice(exclusion.2, exclusion.3) else {
                preconditionFailure("no such values: \(exclusion)")
            }
            return Exclusion(first: first, second: second, reason: exclusion.reason)
        }
        excluded = Set(self.exclusions.map { [$0.first, $0.second] })
    }

    /// All pairs that can be had.
    package var pairs: [Set<Choice>] {
        var found: [Set<Choice>] = []
        for one in factors.indices {
            for other in factors.indices where other > one {
                for value in factors[one].values.indices {
                    for second in factors[other].values.indices {
                        let pair: Set = [
                            Choice(factor: one, value: value), Choice(factor: other, value: second),
                        ]
                        if !excluded.contains(pair) { found.append(pair) }
                    }
                }
            }
        }
        return found
    }

    /// Rows that cover all pairs which can be had, except those that no row can hold because of the exclusions.
    package func rows() -> [Row] {
        var missing = Set(pairs)
        var rows: [Row] = []
        var used: [Choice: Int] = [:]
        // In the order of the factors, so that the rows do not depend on how sets are ordered.
        for pair in pairs where missing.contains(pair) {
            guard let row = row(with: pair, covering: missing, used) else {
                missing.remove(pair)
                continue
            }
            missing.subtract(Self.pairs(of: row))
            for (factor, value) in row.enumerated() { used[Choice(factor: factor, value: value), default: 0] += 1 }
            rows.append(row)
        }
        return rows
    }

    /// As few of some rows as can be, each the one that has most pairs which those before it lack, `count` in all, with
    /// one for each value of a factor first.
    package func selection(of count: Int, from rows: [Row], each factor: Int) -> [Row] {
        var chosen: [Row] = []
        var covered: Set<Set<Choice>> = []
        var wanted = Set(factors[factor].values.indices)
        while chosen.count < min(count, rows.count) {
            let candidates = rows.filter { !chosen.contains($0) && (wanted.isEmpty || wanted.contains($0[factor])) }
            guard let best = Self.best(candidates, { Self.pairs(of: $0).subtracting(covered).count }) else { break }
            chosen.append(best)
            covered.formUnion(Self.pairs(of: best))
            wanted.remove(best[factor])
        }
        return chosen
    }

    package static func pairs(of row: Row) -> Set<Set<Choice>> {
        var found: Set<Set<Choice>> = []
        for one in row.indices {
            for other in row.indices where other > one {
                found.insert([Choice(factor: one, value: row[one]), Choice(factor: other, value: row[other])])
            }
        }
        return found
    }

    package func isPossible(_ row: Row) -> Bool { Self.pairs(of: row).isDisjoint(with: excluded) }

    private func row(with pair: Set<Choice>, covering missing: Set<Set<Choice>>, _ used: [Choice: Int]) -> Row? {
        var chosen: [Int: Int] = [:]
        for choice in pair { chosen[choice.factor] = choice.value }
        return complete(chosen, covering: missing, used).map { chosen in factors.indices.compactMap { chosen[$0] } }
    }

    /// Fills a row up, factor by factor, going back where nothing fits.
    private func complete(
        _ chosen: [Int: Int], covering missing: Set<Set<Choice>>, _ used: [Choice: Int]
    ) -> [Int: Int]? {
        guard let factor = factors.indices.first(where: { chosen[$0] == nil }) else { return chosen }
        let fitting = factors[factor].values.indices.filter { value in
            chosen.allSatisfy {
                !excluded.contains([Choice(factor: $0, value: $1), Choice(factor: factor, value: value)])
            }
        }
        let ordered = fitting.map { value in
            let gain = chosen.count {
                missing.contains([Choice(factor: $0.key, value: $0.value), Choice(factor: factor, value: value)])
            }
            // Where nothing is gained, what was used least is.
            return (value: value, gain: gain, uses: used[Choice(factor: factor, value: value)] ?? 0)
        }.sorted { ($0.gain, $1.uses, $1.value) > ($1.gain, $0.uses, $0.value) }
        for candidate in ordered {
            var next = chosen
            next[factor] = candidate.value
            if let row = complete(next, covering: missing, used) { return row }
        }
        return nil
    }

    private static func best(_ rows: [Row], _ gain: (Row) -> Int) -> Row? {
        var best: (row: Row, gain: Int)?
        for row in rows {
            let gain = gain(row)
            if gain > best?.gain ?? -1 { best = (row, gain) }
        }
        return best?.row
    }
}
