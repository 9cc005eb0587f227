import Foundation
import RhythmCore
import RhythmTesting
import Testing

@Suite struct TimestampTests {
    @Test(
        arguments: [
            (0, "1970-01-01T00:00:00.000000Z"), (-1, "1969-12-31T23:59:59.999999Z"),
            (951_782_400_000_000, "2000-02-29T00:00:00.000000Z"),
            (1_709_251_199_999_999, "2024-02-29T23:59:59.999999Z"),
            (4_107_542_400_000_000, "2100-03-01T00:00:00.000000Z"), (1_234_567, "1970-01-01T00:00:01.234567Z"),
        ] as [(Int64, String)])
    func known(microseconds: Int64, text: String) {
        #expect(Timestamp(microseconds: microseconds).iso8601 == text)
    }

    @Test func agreesWithFoundation() throws {
        let seed: UInt64 = 20_261_123
        var random = SeededGenerator(seed: seed)
        var calendar = Calendar(identifier: .gregorian)
        calendar.timeZone = try #require(TimeZone(identifier: "UTC"))
        for _ in 0..<2000 {
            // 1600 to 2400: Foundation's calendar is Julian before 1582.
            let seconds = Int64.random(in: -11_670_000_000...13_570_000_000, using: &random)
            let micros = Int64.random(in: 0..<1_000_000, using: &random)
            let parts = calendar.dateComponents(
                [.year, .month, .day, .hour, .minute, .second], from: Date(timeIntervalSince1970: Double(seconds)))
            let expected = String(
                format: "%04d-%02d-%02dT%02d:%02d:%02d.%06dZ", parts.year ?? 0, parts.month ?? 0, parts.day ?? 0,
                parts.hour ?? 0, parts.minute ?? 0, parts.second ?? 0, Int(micros))
            let text = Timestamp(microseconds: seconds * 1_000_000 + micros).iso8601
            #expect(text == expected, "seed \(seed)")
        }
    }

    @Test func arithmeticStopsAtTheEnds() {
        let end = Timestamp(microseconds: .max)
        let start = Timestamp(microseconds: .min)
        #expect(end + .seconds(1) == end)
        #expect(start + .seconds(-1) == start)
        #expect(Timestamp(microseconds: 5) + .microseconds(-7) == Timestamp(microseconds: -2))
        #expect(Timestamp(microseconds: 5).since(Timestamp(microseconds: 7)) == .zero)
        #expect(Timestamp(microseconds: 7).since(Timestamp(microseconds: 5)) == .microseconds(2))
        #expect(start.since(end) == .zero)
        #expect(end.since(start) == .microseconds(Int64.max))
    }

    @Test func durations() {
        #expect(Duration.seconds(1.5).wholeMicroseconds == 1_500_000)
        #expect(Duration.seconds(-1.5).wholeMicroseconds == -1_500_000)
        #expect(Duration.nanoseconds(999).wholeMicroseconds == 0)
        #expect(Duration.seconds(Int64.max).wholeMicroseconds == .max)
        #expect(Duration.seconds(Int64.min).wholeMicroseconds == .min)
        #expect(Duration.milliseconds(1999).wholeMilliseconds == 1999)
        #expect(Duration.milliseconds(250).inSeconds == 0.25)
    }

    @Test func cursorTokens() {
        let cursor = ListCursor(key: Timestamp(microseconds: -17), id: "a:b.c-d_e")
        #expect(ListCursor(token: cursor.token) == cursor)
        for bad in ["", "~", "12~", "~a", "x~a", "12", "99999999999999999999~a"] {
            #expect(ListCursor(token: bad) == nil, "\(bad)")
        }
    }
}
