import NIOCore

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Splits a stream into command lines. Its memory is bounded, and it never looks at a byte twice, in whatever pieces
/// the bytes arrive.
///
/// The owner takes one line at a time and can stop between two lines. STARTTLS needs this: the bytes after its line
/// must still be in the owner's buffer.
public struct CommandLineDecoder: Sendable {
    /// What was found in the stream.
    public enum Result: Hashable, Sendable {
        /// A line without its CRLF.
        case line(ByteBuffer)
        /// A line that ends in a bare LF; the LF is removed. The client gets an error, because the relay does not guess
        /// where a line ends.
        case bareLineFeed(ByteBuffer)
        /// The first octets of a line that is longer than the limit. The rest of the line is discarded as it arrives.
        /// The line is reported once, when its end has arrived.
        case tooLong(beginning: ByteBuffer)
        case needMoreData
    }

    /// The number of octets at the front of the buffer that are known to contain no LF.
    private var scanned = 0
    /// The first octets of the line that is being discarded.
    private var discarded: ByteBuffer?

    /// How many octets of a discarded line are kept. They are enough to recognise what kind of line the client meant to
    /// send.
    static let beginningLength = 16

    public init() {}

    /// Takes the next line out of `buffer`. `limit` is in octets and includes CRLF.
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

    /// Makes a copy, because a slice would keep the whole buffer in memory.
    private static func beginning(of buffer: ByteBuffer, limit: Int) -> ByteBuffer {
        ByteBuffer(bytes: buffer.readableBytesView.prefix(min(beginningLength, limit)))
    }
}
