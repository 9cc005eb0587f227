/// How long short steps usually take from being sent to their end, so that the first look comes when it is there.
///
/// A look that comes too early delays the next, as the database reads for the server instead of writing for the worker;
/// one that comes too late wastes as much. So the time is moved like a staircase: longer by a twenty-fifth after a look
/// that was too early, shorter by as much after one that was not; about half of the looks find the end then, however the
/// times are spread. When more of them in a row do than that explains, the steps have become shorter, and so does the
/// time by a tenth at once. Only steps that wait for nobody in their queue are looked at in this way, and none that takes
/// longer than ``longest``. A value.
struct ShortSteps {
    /// Steps of a kind take about the same time.
    struct Kind: Hashable, Sendable {
        var queue: String
        var task: String
    }

    /// Of longer ones a tenth is little enough.
    static let longest: Duration = .milliseconds(50)
    /// So many kinds are remembered.
    static let kindsMax = 1000

    /// A step of the staircase is this part of the time.
    private static let stair = 25
    /// After so many first looks in a row that found the end.
    private static let row = 5

    private var usual: [Kind: (age: Duration, found: Int)] = [:]

    /// The age at which to look first; nil if nothing is known, or the steps are not short.
    subscript(kind: Kind) -> Duration? { usual[kind]?.age }

    /// The end of a step was seen by a look at this age.
    ///
    /// - Parameter isFirst: that was the first look.
    mutating func saw(endOf kind: Kind, age: Duration, isFirst: Bool) {
        guard age <= Self.longest else { return usual[kind] = nil }
        guard let old = usual[kind] else {
            if usual.count >= Self.kindsMax { usual.removeAll() }
            return usual[kind] = (age, 0)
        }
        if isFirst {
            usual[kind] = (old.age - old.age / (old.found < Self.row ? Self.stair : 10), old.found + 1)
        } else {
            usual[kind] = (min(old.age + old.age / Self.stair, Self.longest), 0)
        }
    }
}
