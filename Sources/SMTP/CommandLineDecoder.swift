import NIOCore

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Takes command lines out of a stream: bounded, and never looking at a byte twice however it arrives.
///
/// The owner pulls one line at a time and can stop between two, which STARTTLS needs: what lies behind the line is still in
/// its buffer then.
public struct CommandLineDecoder: Sendable {
    public enum Result: Hashable, Sendable {
        /// A line without its CRLF.
        case line(ByteBuffer)
        /// A line that ends in a bare LF, without it: a client that does so gets an error, not a guess.
        case bareLineFeed(ByteBuffer)
        /// A line longer than the limit: its first octets. Reported once; the rest of it is thrown away as it arrives.
        case tooLong(beginning: ByteBuffer)
        case needMoreData
    }

    /// Octets at the front of the buffer that are known to hold no LF.
    private var scanned = 0
    /// The first octets of the line that is being thrown away.
    private var discarded: ByteBuffer?

    /// Enough to tell what kind of line it was meant to be.
    static let beginningLength = 16

    public init() {}

    /// `limit` in octets, CRLF included.
    public mutating func next(from buffer: inout ByteBuffer, limit: Int) -> Result {
        while true {
            let end = buffer.withUnsafeReadableBytes { bytes -> Int? in
                guard let base = bytes.baseAddress, bytes.count > scanned,
                    let hit = memchr(base + scanned, 0x0A, bytes.count - scanned)
                else { return nil }
                return UnsafeRawPointer(hit) - base
            }
            guard let end else {
                scanned = buffer.readableBytes
                if discarded != nil {
                    buffer.moveReaderIndex(forwardBy: scanned)
                    scanned = 0
                } else if scanned >= limit {
                    discarded = Self.beginning(of: buffer, limit: limit)
                    continue
                }
                return .needMoreData
            }
            scanned = 0
            if let beginning = discarded {
                discarded = nil
                buffer.moveReaderIndex(forwardBy: end + 1)
                return .tooLong(beginning: beginning)
            }
            guard end < limit else {
                let beginning = Self.beginning(of: buffer, limit: limit)
                buffer.moveReaderIndex(forwardBy: end + 1)
                return .tooLong(beginning: beginning)
            }
            let isTerminatedProperly =
                end > 0 && buffer.getInteger(at: buffer.readerIndex + end - 1, as: UInt8.self) == 0x0D
            guard isTerminatedProperly, let line = buffer.readSlice(length: end - 1) else {
                let line = buffer.readSlice(length: end) ?? ByteBuffer()
                buffer.moveReaderIndex(forwardBy: 1)
                return .bareLineFeed(line)
            }
            buffer.moveReaderIndex(forwardBy: 2)
            return .line(line)
        }
    }

    /// A copy: a slice would keep all of the buffer in memory.
    private static func beginning(of buffer: ByteBuffer, limit: Int) -> ByteBuffer {
        ByteBuffer(bytes: buffer.readableBytesView.prefix(min(beginningLength, limit)))
    }
}
