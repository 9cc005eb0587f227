import CProtobufC
import CRhythmProto
import RhythmCore

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

// What reading C structs has in common. Field names are passed for error messages only.

/// A string field: UTF-8 without NUL.
func text(_ bytes: CBytes, _ field: String) throws(FieldError) -> String {
    guard let start = bytes.data, bytes.len > 0 else { return "" }
    guard memchr(start, 0, bytes.len) == nil,
        let text = String(validating: UnsafeBufferPointer(start: start, count: bytes.len), as: UTF8.self)
    else { throw FieldError(.text, field) }
    return text
}

/// A string field that is nil if empty.
func optionalText(_ bytes: CBytes, _ field: String) throws(FieldError) -> String? {
    bytes.len == 0 ? nil : try text(bytes, field)
}

/// A string field that names something and so must not be empty.
func requiredText(_ bytes: CBytes, _ field: String) throws(FieldError) -> String {
    guard bytes.len > 0 else { throw .value(field, "a text that is not empty") }
    return try text(bytes, field)
}

func workflowID(_ bytes: CBytes, _ field: String = "workflow_id") throws(FieldError) -> WorkflowID {
    WorkflowID(try requiredText(bytes, field))
}

func taskID(_ bytes: CBytes, _ field: String = "task_id") throws(FieldError) -> TaskID? {
    try optionalText(bytes, field).map { TaskID($0) }
}

/// JSON text; nil if empty.
func optionalJSON(_ bytes: CBytes, _ field: String) throws(FieldError) -> JSON? {
    guard bytes.len > 0 else { return nil }
    let text = try text(bytes, field)
    do throws(JSONError) {
        return try JSON(parsing: text)
    } catch {
        throw FieldError(.json(expected: "\(error)"), field)
    }
}

/// JSON text of an array; `[]` if empty.
func jsonArray(_ bytes: CBytes, _ field: String) throws(FieldError) -> JSON {
    try optionalJSON(bytes, field) ?? .emptyArray
}

/// JSON text of an object; `{}` if empty.
func jsonObject(_ bytes: CBytes, _ field: String) throws(FieldError) -> JSON {
    try optionalJSON(bytes, field) ?? .emptyObject
}

/// A time; nil if 0.
func optionalTime(_ microseconds: Int64) -> Timestamp? {
    microseconds == 0 ? nil : Timestamp(microseconds: microseconds)
}

/// A version that must not be negative; nil if 0.
func optionalVersion(_ version: Int64, _ field: String) throws(FieldError) -> Int64? {
    guard version >= 0 else { throw .value(field, "a version is 1 or more; 0 for any") }
    return version == 0 ? nil : version
}

/// A number that has to be one.
func finite(_ value: Double, _ field: String) throws(FieldError) -> Double {
    guard value.isFinite else { throw .value(field, "a finite number") }
    return value
}

/// A nested message; nil if it is not there.
func nested<Value: WireCoded>(
    _ c: UnsafeMutablePointer<Value.C>?, _ field: String
) throws(FieldError) -> Value? {
    guard let c else { return nil }
    do throws(FieldError) { return try Value(from: c) } catch { throw error.inside(field) }
}

/// A nested message that must be there.
func required<Value: WireCoded>(
    _ c: UnsafeMutablePointer<Value.C>?, _ field: String, path: String? = nil
) throws(FieldError) -> Value {
    guard let value: Value = try nested(c, path ?? field) else { throw .value(field, "a message; it is missing") }
    return value
}

/// A list of messages.
func list<Value: WireCoded>(
    _ count: Int, _ elements: CList<Value.C>?, _ field: String
) throws(FieldError) -> [Value] {
    guard count > 0, let elements else { return [] }
    var values: [Value] = []
    values.reserveCapacity(count)
    for index in 0..<count {
        guard let element = elements[index] else { continue }
        do throws(FieldError) {
            values.append(try Value(from: element))
        } catch {
            throw error.inside("\(field)[\(index)]")
        }
    }
    return values
}

/// A list of texts.
func texts(_ count: Int, _ elements: UnsafeMutablePointer<CBytes>?, _ field: String) throws(FieldError) -> [String] {
    guard count > 0, let elements else { return [] }
    var values: [String] = []
    values.reserveCapacity(count)
    for index in 0..<count {
        do throws(FieldError) {
            values.append(try text(elements[index], ""))
        } catch {
            throw FieldError(error.problem, "\(field)[\(index)]")
        }
    }
    return values
}

/// Labels; each key once.
func labels(
    _ count: Int, _ elements: CList<Rhythm__Label>?, _ field: String = "labels"
) throws(FieldError) -> [String: String] {
    guard count > 0, let elements else { return [:] }
    var values: [String: String] = [:]
    values.reserveCapacity(count)
    for index in 0..<count {
        guard let element = elements[index] else { continue }
        let key = try text(element.pointee.key, "\(field)[\(index)].key")
        let value = try text(element.pointee.value, "\(field)[\(index)].value")
        guard values.updateValue(value, forKey: key) == nil else {
            throw .value("\(field)[\(index)].key", "each key once; '\(key)' came before")
        }
    }
    return values
}
