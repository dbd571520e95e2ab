internal import COpenSSL
import NIOCore

/// Moves bytes between OpenSSL and `ByteBuffer`s, without the copies that OpenSSL's own memory BIOs make.
///
/// OpenSSL takes ciphertext directly from the buffer that the channel delivered. It writes directly into the buffer
/// that the channel will send. This type knows nothing of TLS.
final class ByteBufferBIO {
    /// The type's functions. Nil only if OpenSSL had no memory for them.
    ///
    /// `nonisolated(unsafe)` is correct: the value is written once, under the lock of Swift's lazy initialisation,
    /// before any other code can read it. OpenSSL only reads from a `BIO_METHOD`.
    private nonisolated(unsafe) static let method: OpaquePointer? = {
        let kind = BIO_get_new_index()
        guard kind != -1, let method = BIO_meth_new(kind | BIO_TYPE_SOURCE_SINK, "NIO ByteBuffer") else { return nil }
        BIO_meth_set_read(method) { bio, target, length in
            guard let bio, let target, length > 0 else { return 0 }
            return ByteBufferBIO.owner(of: bio)?.read(bio, into: target, count: Int(length)) ?? -1
        }
        BIO_meth_set_write(method) { bio, source, length in
            guard let bio, let source, length > 0 else { return 0 }
            ByteBufferBIO.owner(of: bio)?.write(UnsafeRawBufferPointer(start: source, count: Int(length)))
            return length
        }
        BIO_meth_set_ctrl(method) { _, command, _, _ in
            // A flush succeeds at once: the channel handler sends the ciphertext, so this BIO has nothing to flush. No
            // other command is supported.
            command == BIO_CTRL_FLUSH ? 1 : 0
        }
        return method
    }()

    /// Ciphertext that OpenSSL has not taken yet.
    private(set) var inbound = ByteBuffer()
    /// How many octets of ciphertext OpenSSL has taken since the last call of ``recordFinished()``. They are part of a
    /// record that may be incomplete.
    private(set) var takenOfRecord = 0
    private var outbound: ByteBuffer?
    private let allocator: ByteBufferAllocator

    init(allocator: ByteBufferAllocator) {
        self.allocator = allocator
    }

    /// Makes the BIO that OpenSSL uses, or returns nil if OpenSSL has no memory for it. The BIO refers to `self`
    /// without retaining it, so the caller must free the BIO before it releases `self`.
    func makeBIO() -> OpaquePointer? {
        guard let method = Self.method, let bio = BIO_new(method) else { return nil }
        BIO_set_data(bio, Unmanaged.passUnretained(self).toOpaque())
        BIO_set_init(bio, 1)
        return bio
    }

    private static func owner(of bio: OpaquePointer) -> ByteBufferBIO? {
        BIO_get_data(bio).map { Unmanaged<ByteBufferBIO>.fromOpaque($0).takeUnretainedValue() }
    }

    /// Adds ciphertext from the channel. Usually OpenSSL has taken all earlier ciphertext. In this case nothing is
    /// copied.
    func received(_ buffer: ByteBuffer) {
        if self.inbound.readableBytes == 0 {
            self.inbound = buffer
        } else {
            self.inbound.writeImmutableBuffer(buffer)
        }
    }

    /// Releases the storage of ciphertext that has been taken, so that an idle connection holds none.
    func releaseInboundIfEmpty() {
        if self.inbound.readableBytes == 0 { self.inbound = ByteBuffer() }
    }

    func recordFinished() { self.takenOfRecord = 0 }

    /// How much ciphertext waits for ``takeOutbound()``, in octets.
    var outboundCount: Int { self.outbound?.readableBytes ?? 0 }

    /// Ciphertext that OpenSSL wrote, or nil.
    func takeOutbound() -> ByteBuffer? {
        guard let outbound = self.outbound else { return nil }
        self.outbound = nil
        return outbound
    }

    /// Makes room for `count` octets of ciphertext, so that a large write grows its buffer once.
    func reserveOutbound(_ count: Int) {
        if self.outbound == nil {
            self.outbound = self.allocator.buffer(capacity: count)
        } else {
            self.outbound?.reserveCapacity(minimumWritableBytes: count)
        }
    }

    private func read(_ bio: OpaquePointer, into target: UnsafeMutablePointer<CChar>, count: Int) -> Int32 {
        COpenSSL_BIO_clear_retry_flags(bio)
        let taken = min(count, self.inbound.readableBytes)
        guard taken > 0 else {
            COpenSSL_BIO_set_retry_read(bio)
            return -1
        }
        self.inbound.withUnsafeReadableBytes { readable in
            UnsafeMutableRawBufferPointer(start: target, count: taken)
                .copyMemory(from: UnsafeRawBufferPointer(rebasing: readable[..<taken]))
        }
        self.inbound.moveReaderIndex(forwardBy: taken)
        self.takenOfRecord += taken
        return Int32(taken)  // no more than `count`, which came as an Int32
    }

    private func write(_ bytes: UnsafeRawBufferPointer) {
        if self.outbound == nil { self.outbound = self.allocator.buffer(capacity: bytes.count) }
        self.outbound?.writeBytes(bytes)
    }
}
