import Foundation
import RhythmCore
import RhythmTesting
import Testing

@Suite struct JSONTests {
    static let good = [
        "null", "true", "false", "0", "-0", "1", "-1", "10", "1.5", "-0.0", "1e5", "1E+5", "1e-5", "0.1e1",
        "123456789012345678901234567890", "-123456789012345678901234567890.000", "NaN", "Infinity", "-Infinity",
        "\"\"", "\"a\"", #""\"\\\/\b\f\n\r\t""#, #""\u0000""#, #""\ud83d\ude00""#, #""\ud83d""#, #""\udE00x""#,
        "\"\u{7F}\u{2028}\u{1F600}\"", "[]", "[ ]", "[1]", "[1, 2 ,3]", "[[],[[]],{}]", "{}", "{ }",
        #"{"a":1}"#, #"{ "a" : [ {"b" : null } ] , "c":"d" }"#, #"{"a":1,"a":2}"#, #"{"":0}"#, "[NaN,-Infinity]",
    ]

    static let bad = [
        "", " ", "nul", "nulll", "True", "None", "+1", "01", "-", "-a", "1.", ".5", "1e", "1e+", "0x10", "1 2",
        "-NaN", "infinity", "--1", "\"", "\"\\\"", "\"\\x\"", "\"\\u12\"", "\"\\u12g4\"", "\"\n\"", "\"\u{0}\"",
        "\"\\", "\"\\u", "'a'", "[", "]", "[1", "[1,", "[1,]", "[,1]", "[,]", "[1 2]", "[1}", "{", "}", "{a:1}",
        "{\"a\"}", "{\"a\":}", "{\"a\":1", "{\"a\":1,}", "{\"a\":1 \"b\":2}", "{1:2}", "{\"a\":1]", "[]]", "{}{}",
        "//x\n1", "[1]\u{A0}", "\u{FEFF}1", "1,", "tru e",
    ]

    @Test(arguments: good)
    func accepts(text: String) throws {
        #expect(try JSON(parsing: text).text == text)
        // White space around is dropped, the rest is kept byte for byte.
        #expect(try JSON(parsing: " \t\r\n" + text + "\n ").text == text)
        // Every tree is written as text that gives the same tree.
        let value = try JSON(parsing: text).value
        #expect(try JSON(parsing: value.compactText).value == value)
        #expect(try JSON(parsing: value.prettyText).value == value)
    }

    @Test(arguments: bad)
    func refuses(text: String) {
        let error = #expect(throws: JSONError.self) { try JSON(parsing: text) }
        #expect((0...text.utf8.count).contains(error?.offset ?? -1))
        #expect(error?.expected.isEmpty == false)
    }

    @Test func everyTruncationIsRefused() throws {
        let text = #"{"a":[1.5e3,"x\u0041\n",true,null,{"b":NaN}],"c":-Infinity}"#
        _ = try JSON(parsing: text)
        for length in 0..<text.utf8.count {
            let cut = String(decoding: Array(text.utf8.prefix(length)), as: UTF8.self)
            #expect(throws: JSONError.self) { try JSON(parsing: cut) }
        }
    }

    @Test func numbersAreKept() throws {
        let big = "123456789012345678901234567890"
        let value = try JSON(parsing: "[\(big),1.10,NaN]").value
        #expect(value == .array([.number(big), .number("1.10"), .number("NaN")]))
        #expect(value.compactText == "[\(big),1.10,NaN]")
        #expect(JSONValue.number("7").intValue == 7)
        #expect(JSONValue.number("7.0").intValue == nil)
        #expect(JSONValue.number(big).intValue == nil)
        #expect(JSONValue.number("1e3").doubleValue == 1000)
        #expect(JSONValue.number("NaN").doubleValue?.isNaN == true)
        #expect(JSONValue.float(.nan) == .null)
        #expect(JSONValue.float(-.infinity) == .null)
        _ = try JSON(parsing: JSONValue.float(1e300).compactText)
        #expect(JSONValue.integer(-5) == .number("-5"))
    }

    @Test(arguments: [
        (#""\ud83d\ude00""#, "\u{1F600}"), (#""\u0041\u00e4""#, "A\u{E4}"), (#""\ud83d""#, "\u{FFFD}"),
        (#""\ude00a""#, "\u{FFFD}a"), (#""\ud83d\u0041""#, "\u{FFFD}A"), (#""\ud83d\n""#, "\u{FFFD}\n"),
        (#""\b\f\n\r\t\/\\\"""#, "\u{8}\u{C}\n\r\t/\\\""), (#""\u0000""#, "\u{0}"),
    ])
    func escapes(text: String, meaning: String) throws {
        #expect(try JSON(parsing: text).value == .string(meaning))
        #expect(JSON.string(meaning).value == .string(meaning))
    }

    @Test func depth() throws {
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            let inner = open == "[" ? "" : "1"
            func nested(_ levels: Int) -> String {
                String(repeating: open, count: levels) + inner + String(repeating: close, count: levels)
            }
            let deepest = try JSON(parsing: nested(128))
            #expect(deepest.value != .null)
            #expect(throws: JSONError.self) { try JSON(parsing: nested(129)) }
            #expect(throws: JSONError.self) { try JSON(parsing: String(repeating: open, count: 1_000_000)) }
        }
        // Depth is about nesting, not about length.
        _ = try JSON(parsing: "[" + Array(repeating: "[[]]", count: 1000).joined(separator: ",") + "]")
    }

    @Test(
        arguments: [
            ("[]", nil), ("[ ]", nil), ("{}", nil), ("7", nil), ("\"[1]\"", nil), ("[7]", "7"), ("[ 7 , 8]", "7"),
            ("[[1, 2],3]", "[1, 2]"), (#"[{"a": "]"} , 1]"#, #"{"a": "]"}"#), (#"["a\"],b"]"#, #""a\"],b""#),
            ("[null]", "null"), ("[12345678901234567890123]", "12345678901234567890123"), ("[NaN]", "NaN"),
        ] as [(String, String?)])
    func firstElement(text: String, first: String?) throws {
        #expect(try JSON(parsing: text).firstElement?.text == first)
    }

    @Test func merging() throws {
        let mine = try JSON(parsing: #"{"a":1,"b":2,"b":3}"#).value
        let theirs = try JSON(parsing: #"{"b":9,"c":null}"#).value
        let merged = mine.merging(theirs)
        #expect(merged.compactText == #"{"a":1,"b":9,"c":null}"#)
        #expect(merged["b"] == .number("9"))
        #expect(merged["x"] == nil)
        #expect(mine["b"] == .number("3"))
    }

    static func tree(_ random: inout SeededGenerator, depth: Int) -> JSONValue {
        switch Int.random(in: 0..<(depth > 0 ? 8 : 6), using: &random) {
        case 0: return .null
        case 1: return .bool(Bool.random(using: &random))
        case 2: return .integer(Int64.random(in: .min ... .max, using: &random))
        case 3: return .float(Double(bitPattern: random.next()))
        case 4, 5:
            let scalars = (0..<Int.random(in: 0...8, using: &random)).compactMap { _ in
                Unicode.Scalar(UInt32.random(in: 0...(random.once(in: 2) ? 0x7F : 0x10FFFF), using: &random))
            }
            var text = ""
            text.unicodeScalars.append(contentsOf: scalars)
            return .string(text)
        case 6: return .array((0..<Int.random(in: 0...4, using: &random)).map { _ in tree(&random, depth: depth - 1) })
        default:
            return .object(
                (0..<Int.random(in: 0...4, using: &random)).map {
                    .init("k\($0)\"\\\n", tree(&random, depth: depth - 1))
                })
        }
    }

    @Test func randomRoundTrips() throws {
        let seed = UInt64.random(in: 0...UInt64.max)
        var random = SeededGenerator(seed: seed)
        for _ in 0..<500 {
            let value = Self.tree(&random, depth: 5)
            for text in [value.compactText, value.prettyText] {
                #expect(try JSON(parsing: text).value == value, "seed \(seed)")
                // A second opinion.
                let data = Data(text.utf8)
                #expect(
                    throws: Never.self, "seed \(seed): \(text)"
                ) { try JSONSerialization.jsonObject(with: data, options: .fragmentsAllowed) }
            }
        }
    }

    @Test func randomDamageNeverTraps() throws {
        let seed = UInt64.random(in: 0...UInt64.max)
        var random = SeededGenerator(seed: seed)
        for _ in 0..<1000 {
            var bytes = Array(Self.tree(&random, depth: 4).compactText.utf8)
            for _ in 0..<Int.random(in: 1...3, using: &random) where !bytes.isEmpty {
                let place = Int.random(in: 0..<bytes.count, using: &random)
                bytes[place] = Array(#"{}[]",:\u0e-+.N"#.utf8).randomElement(using: &random) ?? 0
            }
            let text = String(decoding: bytes, as: UTF8.self)
            guard let json = try? JSON(parsing: text) else { continue }
            _ = json.firstElement
            #expect(try JSON(parsing: json.value.compactText).value == json.value, "seed \(seed): \(text)")
        }
    }
}
