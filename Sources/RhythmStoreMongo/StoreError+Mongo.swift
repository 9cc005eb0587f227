import RhythmEngine
import RhythmMongo

extension StoreError {
    /// What the database at `address` said.
    init(_ error: MongoError, at address: String) {
        let code: Code =
            switch error.kind {
            case .duplicateKey: .conflict
            case .unauthorized: .permission
            case .tooLarge: .full
            case .invalidDocument: .corrupt
            // OutOfDiskSpace.
            case .other where error.isFromServer && error.code == 14031: .full
            case .networkOrTimeout, .notPrimary, .notSupported, .invalidAddress, .other: .unavailable
            }
        self.init(code, "\(address): \(error)", outcomeUnknown: error.outcomeUnknown)
    }
}

/// Runs `body` and turns what the driver throws into a ``StoreError`` about the database at `address`.
func translating<Value>(
    _ address: String, _ body: () throws(MongoError) -> Value
) throws(StoreError) -> Value {
    do throws(MongoError) { return try body() } catch { throw StoreError(error, at: address) }
}
