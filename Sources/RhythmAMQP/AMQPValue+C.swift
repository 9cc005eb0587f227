import CRabbitMQ

// Copies of what the library decoded. Its memory is given back soon after, so nothing here keeps a pointer.

extension String {
    /// Bytes that are not UTF-8 are replaced: a peer's mistake in a text must not cost the message.
    init(copying bytes: amqp_bytes_t) {
        self = String(decoding: UnsafeRawBufferPointer(start: bytes.bytes, count: bytes.len), as: UTF8.self)
    }
}

extension Array<UInt8> {
    init(copying bytes: amqp_bytes_t) {
        self.init(UnsafeRawBufferPointer(start: bytes.bytes, count: bytes.len))
    }
}

extension AMQPTable {
    /// - Parameter depth: tables and arrays around it; what lies deeper than 32 is left out, so that nobody can send a
    ///   message that ends us by recursion.
    init(copying table: amqp_table_t, depth: Int = 0) {
        // SAFETY: the library gives as many entries as it says; none has no pointer, which gives an empty buffer.
        let entries = UnsafeBufferPointer(start: table.entries, count: Int(table.num_entries))
        self.init(entries.map { Entry(String(copying: $0.key), AMQPValue(copying: $0.value, depth: depth)) })
    }
}

extension AMQPValue {
    init(copying field: amqp_field_value_t, depth: Int) {
        let value = field.value
        switch amqp_field_value_kind_t(UInt32(field.kind)) {
        case AMQP_FIELD_KIND_UTF8: self = .string(String(copying: value.bytes))
        case AMQP_FIELD_KIND_BYTES: self = .bytes([UInt8](copying: value.bytes))
        case AMQP_FIELD_KIND_BOOLEAN: self = .bool(value.boolean != 0)
        case AMQP_FIELD_KIND_I8: self = .int64(Int64(value.i8))
        case AMQP_FIELD_KIND_U8: self = .int64(Int64(value.u8))
        case AMQP_FIELD_KIND_I16: self = .int64(Int64(value.i16))
        case AMQP_FIELD_KIND_U16: self = .int64(Int64(value.u16))
        case AMQP_FIELD_KIND_I32: self = .int32(value.i32)
        case AMQP_FIELD_KIND_U32: self = .int64(Int64(value.u32))
        case AMQP_FIELD_KIND_I64: self = .int64(value.i64)
        case AMQP_FIELD_KIND_U64: self = Int64(exactly: value.u64).map { .int64($0) } ?? .string(String(value.u64))
        case AMQP_FIELD_KIND_F32: self = .double(Double(value.f32))
        case AMQP_FIELD_KIND_F64: self = .double(value.f64)
        case AMQP_FIELD_KIND_DECIMAL: self = .double(Self.number(value.decimal))
        case AMQP_FIELD_KIND_TIMESTAMP: self = .timestamp(value.u64)
        case AMQP_FIELD_KIND_TABLE where depth < 32:
            self = .table(AMQPTable(copying: value.table, depth: depth + 1))
        case AMQP_FIELD_KIND_ARRAY where depth < 32:
            // SAFETY: as in AMQPTable.
            let entries = UnsafeBufferPointer(start: value.array.entries, count: Int(value.array.num_entries))
            self = .array(entries.map { AMQPValue(copying: $0, depth: depth + 1) })
        default: self = .null
        }
    }

    private static func number(_ decimal: amqp_decimal_t) -> Double {
        (0..<decimal.decimals).reduce(Double(decimal.value)) { number, _ in number / 10 }
    }
}
