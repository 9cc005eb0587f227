import CProtobufC

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// Memory for the C structs of one frame: handed out front to back, never given back singly, and gone as a whole when
/// ``withArena(budget:_:)`` returns.
///
/// protobuf-c allocates each nested message and each string by itself; with an arena that is an addition, there is
/// nothing to free on any failing path, and a budget bounds what a frame of two-byte fields can make of itself
/// (measured: 28 times its size).
///
/// One thread; the pointers must not outlive the closure.
struct Arena {
    /// The first block lies on the stack; most requests need no other.
    static let firstBlockBytes = 1024
    private static let smallestBlock = 8192

    private let state: UnsafeMutablePointer<State>

    private struct State {
        var next: UnsafeMutableRawPointer
        var free: Int
        /// What may still be handed out in all.
        var budget: Int
        var isExhausted = false
        /// The latest block from malloc; its first word points to the one before.
        var lastBlock: UnsafeMutableRawPointer?
        var nextBlockBytes = Arena.smallestBlock
    }

    /// Runs `body` with an arena that hands out at most `budget` bytes.
    static func with<Result>(budget: Int = .max, _ body: (Arena) -> Result) -> Result {
        withUnsafeTemporaryAllocation(byteCount: firstBlockBytes, alignment: 16) { first in
            // The buffer is not empty, so it has a base address.
            guard let base = first.baseAddress else { preconditionFailure("an empty first block") }
            var state = State(next: base, free: first.count, budget: budget)
            return withUnsafeMutablePointer(to: &state) { pointer in
                defer { freeBlocks(of: pointer) }
                return body(Arena(state: pointer))
            }
        }
    }

    /// Whether something was refused because the budget was spent (or the machine had no memory).
    var isExhausted: Bool { state.pointee.isExhausted }

    /// `count` bytes, aligned for any C type; nil once the budget is spent.
    func allocate(_ count: Int) -> UnsafeMutableRawPointer? {
        guard count >= 0, count <= state.pointee.budget else { return refuse() }
        let rounded = (count + 15) & ~15
        if rounded > state.pointee.free, !addBlock(for: rounded) { return refuse() }
        state.pointee.budget -= count
        let result = state.pointee.next
        state.pointee.next += rounded
        state.pointee.free -= rounded
        return result
    }

    /// The same for protobuf-c. Freeing does nothing.
    var cAllocator: ProtobufCAllocator {
        ProtobufCAllocator(
            alloc: { context, size in
                // SAFETY: the context is the state of the arena whose closure is running; see `with`.
                guard let context, size <= Int.max else { return nil }
                return Arena(state: context.assumingMemoryBound(to: State.self)).allocate(Int(size))
            },
            free: { _, _ in },
            allocator_data: UnsafeMutableRawPointer(state))
    }

    private func refuse() -> UnsafeMutableRawPointer? {
        state.pointee.isExhausted = true
        return nil
    }

    private func addBlock(for count: Int) -> Bool {
        let header = 16
        let size = max(count + header, state.pointee.nextBlockBytes)
        guard let block = malloc(size) else { return false }
        block.storeBytes(of: state.pointee.lastBlock, as: UnsafeMutableRawPointer?.self)
        state.pointee.lastBlock = block
        state.pointee.next = block + header
        state.pointee.free = size - header
        state.pointee.nextBlockBytes = min(state.pointee.nextBlockBytes * 2, 1 << 20)
        return true
    }

    private static func freeBlocks(of state: UnsafeMutablePointer<State>) {
        var block = state.pointee.lastBlock
        while let current = block {
            block = current.load(as: UnsafeMutableRawPointer?.self)
            free(current)
        }
    }
}
