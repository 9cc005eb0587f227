/// One value of an AMQP table, in the types that RabbitMQ and Celery use.
///
/// Other integer widths that a peer sends arrive as ``int64(_:)``, a float as ``double(_:)``; an unsigned number that
/// does not fit arrives as text.
package enum AMQPValue: Sendable, Hashable {
    case string(String)
    case int32(Int32)
    case int64(Int64)
    case bool(Bool)
    case double(Double)
    case null
    case table(AMQPTable)
    case array([AMQPValue])
    /// Seconds since 1970.
    case timestamp(UInt64)
    case bytes([UInt8])
}

extension AMQPValue {
    package var stringValue: String? {
        if case .string(let text) = self { text } else { nil }
    }

    /// A whole number, whatever its width on the wire.
    package var intValue: Int64? {
        switch self {
        case .int32(let number): Int64(number)
        case .int64(let number): number
        default: nil
        }
    }
}

extension AMQPValue: ExpressibleByStringLiteral, ExpressibleByBooleanLiteral {
    package init(stringLiteral text: String) { self = .string(text) }
    package init(booleanLiteral value: Bool) { self = .bool(value) }
}

/// The pairs of an AMQP table, in the order in which they travel.
package struct AMQPTable: Sendable, Hashable {
    package struct Entry: Sendable, Hashable {
        package var key: String
        package var value: AMQPValue

        package init(_ key: String, _ value: AMQPValue) {
            self.key = key
            self.value = value
        }
    }

    package var entries: [Entry]

    package init(_ entries: [Entry] = []) { self.entries = entries }

    /// The first value of a key; nil takes the key out.
    package subscript(key: String) -> AMQPValue? {
        get { entries.first { $0.key == key }?.value }
        set {
            if let newValue, let index = entries.firstIndex(where: { $0.key == key }) {
                entries[index].value = newValue
            } else if let newValue {
                entries.append(Entry(key, newValue))
            } else {
                entries.removeAll { $0.key == key }
            }
        }
    }
}

extension AMQPTable: ExpressibleByDictionaryLiteral {
    package init(dictionaryLiteral pairs: (String, AMQPValue)...) {
        self.init(pairs.map { Entry($0.0, $0.1) })
    }
}
