import RhythmMongo
import RhythmTesting
import Testing

@Suite(.timeLimit(.minutes(5))) struct BSONTests {
    /// Every type, read back from its own bytes.
    @Test func everyTypeComesBack() throws {
        let document = Self.everyType
        #expect(try BSONDocument(bytes: document.encoded()) == document)
    }

    /// The bytes of the specification's own examples (https://bsonspec.org/faq.html).
    @Test func bytesOfTheSpecification() throws {
        let hello: BSONDocument = ["hello": "world"]
        let bytes: [UInt8] =
            [0x16, 0, 0, 0, 0x02] + Array("hello".utf8) + [0, 0x06, 0, 0, 0] + Array("world".utf8) + [0, 0]
        #expect(try hello.encoded() == bytes)
        let array: BSONDocument = ["BSON": ["awesome", 5.05, 1986]]
        #expect(try array.encoded().count == 0x31)
        #expect(try BSONDocument(bytes: array.encoded()) == array)
    }

    /// Cut anywhere, and with any byte changed, it is read or refused.
    @Test func damagedBytesAreRefused() throws {
        let bytes = try Self.everyType.encoded()
        for count in 0..<bytes.count {
            #expect(throws: MongoError.self) { try BSONDocument(bytes: Array(bytes[..<count])) }
        }
        var random = SeededGenerator.unseeded()
        for _ in 0..<20_000 {
            var damaged = bytes
            for _ in 0..<Int.random(in: 1...3, using: &random) {
                damaged[Int.random(in: damaged.indices, using: &random)] = .random(in: 0 ... .max, using: &random)
            }
            if let read = try? BSONDocument(bytes: damaged) { _ = read.description }
        }
    }

    @Test func depthHasAnEnd() throws {
        func nested(_ depth: Int) -> BSONDocument {
            (0..<depth).reduce(into: BSONDocument()) { (document: inout BSONDocument, _) in
                document = ["a": .document(document)]
            }
        }
        #expect(try BSONDocument(bytes: nested(150).encoded()) == nested(150))
        let error = #expect(throws: MongoError.self) { try BSONDocument(bytes: nested(300).encoded()) }
        #expect(error?.kind == .invalidDocument)
    }

    @Test func textThatIsNotUTF8IsRepaired() throws {
        var bytes = try (["k": "xy"] as BSONDocument).encoded()
        bytes[11] = 0xFF
        #expect(try BSONDocument(bytes: bytes)["k"] == "\u{FFFD}y")
    }

    @Test func whatBSONCannotSayIsRefused() {
        let documents: [BSONDocument] = [
            ["a\0b": 1], ["a": ["b": ["c\0": 1]]], ["a": .regex(pattern: "\0", options: "")], ["a": .decimal128("ten")],
        ]
        for document in documents {
            let error = #expect(throws: MongoError.self) { try document.encoded() }
            #expect(error?.kind == .invalidDocument)
        }
        #expect(throws: Never.self) { try (["a": "NUL \0 in a text is fine", "": 1] as BSONDocument).encoded() }
    }

    @Test func documentsKeepTheirOrder() {
        var document: BSONDocument = ["b": 1, "a": 2]
        document["c"] = 3
        document["b"] = nil
        document["a"] = "x"
        #expect(document.elements.map(\.key) == ["a", "c"])
        #expect(document != ["c": 3, "a": "x"])
        #expect(document.description == #"{"a": "x", "c": 3}"#)
    }

    @Test func jsonText() {
        let document: BSONDocument = [
            "n": .double(.nan), "i": .double(-.infinity), "d": .date(milliseconds: 1_795_416_383_688), "f": 1.5,
            "big": .int64(.max), "t": "a\"\n\u{1}", "l": [true, nil], "dec": .decimal128("1.50"),
        ]
        #expect(
            document.description
                == #"{"n": NaN, "i": -Infinity, "d": "2026-11-23T06:46:23.688Z", "f": 1.5, "big": 9223372036854775807, "#
                + #""t": "a\"\n\u0001", "l": [true, null], "dec": 1.50}"#)
    }

    static let everyType: BSONDocument = [
        "double": .double(0.1), "string": "Zoë \0 👩‍👩‍👧", "document": ["a": ["b": nil]], "array": [1, "2", [3]],
        "binary": .binary(subtype: 0, bytes: [0, 255, 7]), "old binary": .binary(subtype: 2, bytes: [1, 2]),
        "undefined": .undefined, "id": .objectID(Self.id), "true": true, "false": false,
        "date": .date(milliseconds: -1), "null": nil, "regex": .regex(pattern: "^a.*", options: "im"),
        "pointer": .dbPointer(collection: "c", id: Self.id), "code": .javaScript("1 + 1"), "symbol": .symbol("s"),
        "scope": .javaScriptWithScope("x", ["x": 1]), "int32": .int32(.min),
        "timestamp": .timestamp(seconds: 7, increment: .max), "int64": .int64(.min),
        "decimal": .decimal128("-1.50E+10"), "min": .minKey, "max": .maxKey, "": "an empty name",
    ]

    /// There is no way to make one but reading one.
    private static let id: BSONObjectID = {
        let bytes: [UInt8] = [0x14, 0, 0, 0, 0x07, 0x69, 0] + Array(1...12) + [0]
        guard case .objectID(let id)? = try? BSONDocument(bytes: bytes)["i"] else { fatalError("no id") }
        return id
    }()
}
