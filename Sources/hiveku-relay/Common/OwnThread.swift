import Foundation

/// Runs a blocking call, such as a call of the resolver or of the file system, on a thread of its own.
func onOwnThread<T: Sendable>(_ body: @escaping @Sendable () -> T) async -> T {
    await withCheckedContinuation { continuation in
        Thread.detachNewThread { continuation.resume(returning: body()) }
    }
}
