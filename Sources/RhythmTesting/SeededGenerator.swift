/// Random numbers that a seed brings back: SplitMix64 (https://prng.di.unimi.it/splitmix64.c), so that a failed test
/// can be run again exactly. Print ``seed`` with every failure.
public struct SeededGenerator: RandomNumberGenerator, Sendable {
    /// What this generator was made with.
    public let seed: UInt64
    private var state: UInt64

    /// Starts anew with `seed`.
    public init(seed: UInt64) {
        self.seed = seed
        state = seed
    }

    /// A generator with a seed that nobody chose.
    public static func unseeded() -> SeededGenerator { SeededGenerator(seed: .random(in: 0 ... .max)) }

    public mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    /// True once in `count` times.
    public mutating func once(in count: Int) -> Bool { Int.random(in: 0..<count, using: &self) == 0 }

    /// One of a non-empty list.
    public mutating func pick<Element>(_ elements: [Element]) -> Element {
        elements[Int.random(in: elements.indices, using: &self)]
    }
}
