import Foundation
import RhythmTesting
import Testing

/// The main story over the settings that people's Celery has.
///
/// By itself a few combinations run, chosen for what they cover. `RHYTHM_MATRIX=all` runs all, `RHYTHM_MATRIX=3,17`
/// those; `RHYTHM_MATRIX_WIDTH` says how many at a time. `make matrix` does that.
@Suite(.serialized, .timeLimit(.minutes(60))) struct MatrixTests {
    private static let chosen: [Combination] = {
        switch ProcessInfo.processInfo.environment["RHYTHM_MATRIX"] {
        case nil: return Combination.selection
        case "all": return Combination.all
        case let numbers?:
            let wanted = Set(numbers.split(separator: ",").compactMap { Int($0) })
            return Combination.all.filter { wanted.contains($0.number) }
        }
    }()

    private static let width =
        ProcessInfo.processInfo.environment["RHYTHM_MATRIX_WIDTH"].flatMap { Int($0) } ?? 3

    @Test("start, progress, pause, resume, retry, loss and adoption are right whatever Celery's settings are")
    func story() async throws {
        let world = try await MatrixWorld.shared
        try await world.makeHosts(Self.chosen.map(\.host))
        let outcomes = try await withThrowingTaskGroup(of: MatrixOutcome.self) { group in
            var waiting = Self.chosen[...]
            var outcomes: [MatrixOutcome] = []
            for combination in waiting.prefix(Self.width) {
                group.addTask { try await MatrixStory.run(combination, world) }
            }
            waiting = waiting.dropFirst(Self.width)
            while let outcome = try await group.next() {
                outcomes.append(outcome)
                print("matrix: \(outcome.text)")
                if let next = waiting.popFirst() { group.addTask { try await MatrixStory.run(next, world) } }
            }
            return outcomes.sorted { $0.combination.number < $1.combination.number }
        }
        Self.printTable(outcomes)
        #expect(outcomes.count == Self.chosen.count)
        for outcome in outcomes where !outcome.isRight { Issue.record("\(outcome.text)") }
    }

    @Test("the combinations cover all pairs of settings that can be had, and the few of them all versions")
    func coverage() {
        let covered = Combination.all.reduce(into: Set()) { $0.formUnion(Pairwise.pairs(of: $1.row)) }
        #expect(covered == Set(Combination.matrix.pairs))
        #expect(Combination.all.allSatisfy { Combination.matrix.isPossible($0.row) })
        #expect(Combination.all.count <= 24, "\(Combination.all.count)")
        let selection = Combination.selection
        #expect(Set(selection.map(\.version)) == Set(CeleryWorker.Version.allCases))
        // What they are chosen for, should the rows ever be others.
        #expect(selection.count == 4 && !selection.contains { $0.isRateLimited })
        #expect(selection.contains { $0.hasOtherApplication && $0.isOnMongo && !$0.repeatsWhatWasLost })
        #expect(Set(selection.map { $0["pool"] }) == ["prefork", "threads", "solo"])
        #expect(Set(selection.map { $0["acks"] }) == ["early", "late"])
    }

    private static func printTable(_ outcomes: [MatrixOutcome]) {
        var lines = ["matrix: \(outcomes.count) combinations, \(outcomes.count(where: \.isRight)) of them right"]
        for outcome in outcomes {
            let found = outcome.isRight ? "right" : "\(outcome.wrong.count) WRONG"
            lines.append(
                "  #\(outcome.combination.number)".padding(toLength: 6, withPad: " ", startingAt: 0)
                    + found.padding(toLength: 9, withPad: " ", startingAt: 0)
                    + "\(Int(outcome.seconds)) s".padding(toLength: 7, withPad: " ", startingAt: 0)
                    + "\(outcome.combination)")
        }
        for exclusion in Combination.matrix.exclusions {
            let names = [exclusion.first, exclusion.second].map { choice in
                let factor = Combination.matrix.factors[choice.factor]
                return "\(factor.name)=\(factor.values[choice.value])"
            }
            lines.append("  not \(names[0]) with \(names[1]): \(exclusion.reason)")
        }
        print(lines.joined(separator: "\n"))
    }
}

extension Combination {
    /// Its virtual host and the beginning of the names of its databases.
    var host: String { "matrix\(number)" }
}
