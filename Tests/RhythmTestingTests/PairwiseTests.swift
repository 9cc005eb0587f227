import RhythmTesting
import Testing

@Suite struct PairwiseTests {
    private static let factors = [
        Pairwise.Factor("size", ["small", "middle", "large"]), Pairwise.Factor("colour", ["red", "blue"]),
        Pairwise.Factor("shape", ["round", "square", "flat", "none"]), Pairwise.Factor("light", ["on", "off"]),
        Pairwise.Factor("sound", ["on", "off"]), Pairwise.Factor("wind", ["on", "off"]),
    ]

    @Test("every pair of values is in some row, and hardly more rows than the two largest factors need")
    func allPairs() {
        let pairwise = Pairwise(Self.factors)
        let rows = pairwise.rows()
        let covered = rows.reduce(into: Set()) { $0.formUnion(Pairwise.pairs(of: $1)) }
        #expect(covered == Set(pairwise.pairs))
        #expect(rows.allSatisfy { $0.count == Self.factors.count })
        #expect(rows.count <= 14, "\(rows.count) rows, where 12 are the least")
    }

    @Test("the rows are the same each time") func deterministic() {
        #expect(Pairwise(Self.factors).rows() == Pairwise(Self.factors).rows())
        #expect(Pairwise(Self.factors).rows().first == [0, 0, 0, 0, 0, 0])
    }

    @Test("a pair that cannot be had is in no row, all others are") func exclusions() {
        let pairwise = Pairwise(
            Self.factors,
            exclusions: [
                ("size", "small", "shape", "flat", reason: "nobody could see it"),
                ("colour", "red", "light", "off", reason: "the same"),
                ("light", "off", "shape", "none", reason: "the same"),
            ])
        let rows = pairwise.rows()
        #expect(rows.allSatisfy { pairwise.isPossible($0) })
        let covered = rows.reduce(into: Set()) { $0.formUnion(Pairwise.pairs(of: $1)) }
        #expect(covered == Set(pairwise.pairs))
        #expect(pairwise.pairs.count == Pairwise(Self.factors).pairs.count - 3)
        #expect(pairwise.exclusions.allSatisfy { !$0.reason.isEmpty })
    }

    @Test("a pair that other exclusions leave no row for is passed over") func impossible() {
        let pairwise = Pairwise(
            [Pairwise.Factor("a", ["1", "2"]), Pairwise.Factor("b", ["1", "2"]), Pairwise.Factor("c", ["1", "2"])],
            exclusions: [("a", "1", "c", "1", reason: "-"), ("b", "1", "c", "2", reason: "-")])
        let rows = pairwise.rows()
        #expect(rows.allSatisfy { pairwise.isPossible($0) })
        // a=1 leaves c=2, which leaves b=2.
        #expect(!rows.contains { $0[0] == 0 && $0[1] == 0 })
        #expect(rows.contains([0, 1, 1]))
    }

    @Test("a selection has each value of the factor that counts, and covers the most") func selection() {
        let pairwise = Pairwise(Self.factors)
        let rows = pairwise.rows()
        let chosen = pairwise.selection(of: 4, from: rows, each: 0)
        #expect(chosen.count == 4 && Set(chosen).count == 4)
        #expect(Set(chosen.prefix(3).map { $0[0] }) == [0, 1, 2])
        #expect(pairwise.selection(of: 4, from: rows, each: 0) == chosen)
        #expect(pairwise.selection(of: 99, from: rows, each: 0).count == rows.count)
    }
}
