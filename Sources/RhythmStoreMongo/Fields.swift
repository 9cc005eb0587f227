import RhythmCore
import RhythmEngine
import RhythmMongo

/// Reads the fields of a document of ours and says which of them makes no sense.
struct Fields {
    let document: BSONDocument
    /// What the document is, for messages.
    let what: String

    init(_ document: BSONDocument, _ what: String) {
        self.document = document
        self.what = what
    }

    func corrupt(_ key: String, _ why: String = "is missing or of a wrong type") -> StoreError {
        StoreError(.corrupt, "field '\(key)' of \(what) \(why); restore it from a backup")
    }

    func text(_ key: String) throws(StoreError) -> String {
        guard let text = document[key]?.stringValue else { throw corrupt(key) }
        return text
    }

    func textIfAny(_ key: String) throws(StoreError) -> String? {
        guard let value = document[key], !value.isNull else { return nil }
        guard let text = value.stringValue else { throw corrupt(key) }
        return text
    }

    func int64(_ key: String) throws(StoreError) -> Int64 {
        guard let number = document[key]?.int64Value else { throw corrupt(key) }
        return number
    }

    func int64IfAny(_ key: String) throws(StoreError) -> Int64? {
        guard let value = document[key], !value.isNull else { return nil }
        guard let number = value.int64Value else { throw corrupt(key) }
        return number
    }

    func int(_ key: String) throws(StoreError) -> Int { Int(try int64(key)) }

    func double(_ key: String) throws(StoreError) -> Double {
        guard let number = document[key]?.doubleValue else { throw corrupt(key) }
        return number
    }

    func bool(_ key: String) throws(StoreError) -> Bool {
        guard let value = document[key]?.boolValue else { throw corrupt(key) }
        return value
    }

    func timestamp(_ key: String) throws(StoreError) -> Timestamp { Timestamp(microseconds: try int64(key)) }

    func timestampIfAny(_ key: String) throws(StoreError) -> Timestamp? {
        try int64IfAny(key).map { Timestamp(microseconds: $0) }
    }

    func json(_ key: String) throws(StoreError) -> JSON {
        guard let json = try jsonIfAny(key) else { throw corrupt(key) }
        return json
    }

    func jsonIfAny(_ key: String) throws(StoreError) -> JSON? {
        guard let text = try textIfAny(key) else { return nil }
        guard let json = try? JSON(parsing: text) else { throw corrupt(key, "is no JSON") }
        return json
    }

    func word<Word: RawRepresentable<String>>(_ key: String, _: Word.Type = Word.self) throws(StoreError) -> Word {
        let text = try text(key)
        guard let word = Word(rawValue: text) else { throw corrupt(key, "says '\(text)', which is unknown") }
        return word
    }

    func fields(_ key: String) throws(StoreError) -> Fields {
        guard let inner = document[key]?.documentValue else { throw corrupt(key) }
        return Fields(inner, what)
    }

    func fieldsIfAny(_ key: String) throws(StoreError) -> Fields? {
        guard let value = document[key], !value.isNull else { return nil }
        return try fields(key)
    }

    /// The documents of an array.
    func list(_ key: String) throws(StoreError) -> [Fields] {
        guard let elements = document[key]?.arrayValue else { throw corrupt(key) }
        var list: [Fields] = []
        list.reserveCapacity(elements.count)
        for element in elements {
            guard let inner = element.documentValue else { throw corrupt(key) }
            list.append(Fields(inner, what))
        }
        return list
    }
}

extension BSONDocument {
    /// Adds an element if there is a value.
    mutating func add(_ key: String, _ value: BSONValue?) {
        if let value { append(key, value) }
    }

    mutating func add(_ key: String, _ text: String?) { add(key, text.map { BSONValue.string($0) }) }

    mutating func add(_ key: String, _ time: Timestamp?) { add(key, time.map { BSONValue.exact($0) }) }
}

extension BSONValue {
    /// Whole microseconds, which a date has no room for.
    static func exact(_ time: Timestamp) -> BSONValue { .int64(time.microseconds) }

    static func exact(_ number: Int) -> BSONValue { .int64(Int64(number)) }

    /// A date for everybody else, cut down to milliseconds.
    static func date(_ time: Timestamp) -> BSONValue { .date(milliseconds: time.wholeMilliseconds) }

    static func date(_ time: Timestamp?) -> BSONValue { time.map { .date($0) } ?? .null }
}

extension Timestamp {
    /// Milliseconds since the Unix epoch; never later than the time itself.
    var wholeMilliseconds: Int64 {
        let (quotient, remainder) = microseconds.quotientAndRemainder(dividingBy: 1000)
        return remainder < 0 ? quotient - 1 : quotient
    }

    /// The time of a date; at the ends of the range the nearest that is one.
    init(milliseconds: Int64) {
        let (product, overflow) = milliseconds.multipliedReportingOverflow(by: 1000)
        self.init(microseconds: overflow ? (milliseconds < 0 ? .min : .max) : product)
    }
}
