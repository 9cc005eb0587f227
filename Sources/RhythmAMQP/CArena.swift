import CRabbitMQ

/// Memory for the C forms of one message or call: freed as a whole by ``free()``, which its user defers, as nothing but
/// that keeps it alive while C reads what it gave out.
///
/// Confined to the thread that made it.
final class CArena {
    private var blocks: [UnsafeMutableRawPointer] = []

    func free() {
        for block in blocks { block.deallocate() }
        blocks = []
    }

    func bytes(_ text: String) -> amqp_bytes_t {
        var text = text
        return text.withUTF8 { bytes(UnsafeRawBufferPointer($0)) }
    }

    func bytes(_ source: UnsafeRawBufferPointer) -> amqp_bytes_t {
        guard let base = source.baseAddress, !source.isEmpty else { return amqp_bytes_t(len: 0, bytes: nil) }
        let block = UnsafeMutableRawPointer.allocate(byteCount: source.count, alignment: 1)
        // SAFETY: the block is as long as the source, new, and freed once by free().
        block.copyMemory(from: base, byteCount: source.count)
        blocks.append(block)
        return amqp_bytes_t(len: source.count, bytes: block)
    }

    func table(_ table: AMQPTable) -> amqp_table_t {
        let entries = array(of: amqp_table_entry_t.self, count: table.entries.count)
        for (index, entry) in table.entries.enumerated() {
            // SAFETY: index is below the count that was asked for.
            (entries + index).initialize(to: amqp_table_entry_t(key: bytes(entry.key), value: value(entry.value)))
        }
        return amqp_table_t(num_entries: Int32(table.entries.count), entries: entries)
    }

    private func array<Element>(of type: Element.Type, count: Int) -> UnsafeMutablePointer<Element> {
        let size = max(1, count) * MemoryLayout<Element>.stride
        let block = UnsafeMutableRawPointer.allocate(byteCount: size, alignment: MemoryLayout<Element>.alignment)
        blocks.append(block)
        // SAFETY: room for `count` elements with their alignment; C structures need no deinitialization.
        return block.bindMemory(to: type, capacity: max(1, count))
    }

    private func value(_ value: AMQPValue) -> amqp_field_value_t {
        var field = amqp_field_value_t()
        func kind(_ kind: amqp_field_value_kind_t) { field.kind = UInt8(kind.rawValue) }
        switch value {
        case .string(let text):
            kind(AMQP_FIELD_KIND_UTF8)
            field.value.bytes = bytes(text)
        case .int32(let number):
            kind(AMQP_FIELD_KIND_I32)
            field.value.i32 = number
        case .int64(let number):
            kind(AMQP_FIELD_KIND_I64)
            field.value.i64 = number
        case .bool(let flag):
            kind(AMQP_FIELD_KIND_BOOLEAN)
            field.value.boolean = flag ? 1 : 0
        case .double(let number):
            kind(AMQP_FIELD_KIND_F64)
            field.value.f64 = number
        case .null: kind(AMQP_FIELD_KIND_VOID)
        case .table(let table):
            kind(AMQP_FIELD_KIND_TABLE)
            field.value.table = self.table(table)
        case .array(let values):
            kind(AMQP_FIELD_KIND_ARRAY)
            let entries = array(of: amqp_field_value_t.self, count: values.count)
            for (index, element) in values.enumerated() { (entries + index).initialize(to: self.value(element)) }
            field.value.array = amqp_array_t(num_entries: Int32(values.count), entries: entries)
        case .timestamp(let seconds):
            kind(AMQP_FIELD_KIND_TIMESTAMP)
            field.value.u64 = seconds
        case .bytes(let data):
            kind(AMQP_FIELD_KIND_BYTES)
            field.value.bytes = data.withUnsafeBytes { bytes($0) }
        }
        return field
    }
}
