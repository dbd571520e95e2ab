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
        /// A line that ends in a bare LF: a client that does so gets an error, not a guess.
        case bareLineFeed
        /// A line longer than the limit. Reported once; the rest of it is thrown away as it arrives.
        case tooLong
        case needMoreData
    }

    /// Octets at the front of the buffer that are known to hold no LF.
    private var scanned = 0
    private var discarding = false

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
                if discarding {
                    buffer.moveReaderIndex(forwardBy: scanned)
                    scanned = 0
                } else if scanned >= limit {
                    discarding = true
                    continue
                }
                return .needMoreData
            }
            scanned = 0
            if discarding {
                discarding = false
                buffer.moveReaderIndex(forwardBy: end + 1)
                return .tooLong
            }
            guard end < limit else {
                buffer.moveReaderIndex(forwardBy: end + 1)
                return .tooLong
            }
            let isTerminatedProperly =
                end > 0 && buffer.getInteger(at: buffer.readerIndex + end - 1, as: UInt8.self) == 0x0D
            guard isTerminatedProperly, let line = buffer.readSlice(length: end - 1) else {
                buffer.moveReaderIndex(forwardBy: end + 1)
                return .bareLineFeed
            }
            buffer.moveReaderIndex(forwardBy: 2)
            return .line(line)
        }
    }
}
