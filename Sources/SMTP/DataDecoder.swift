import NIOCore

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Takes the content of a message out of the stream after DATA (RFC 5321 section 4.1.1.4). It finds the end of the
/// content and removes the dots that the client stuffed (section 4.5.2).
///
/// Only CRLF.CRLF ends the data, and only CRLF begins a line. Bare CR, bare LF and NUL are passed on and recorded in
/// ``defect``. So the message can be read to its end and then refused. Two servers can therefore never disagree about
/// where a message ends, whatever another server or a mail client treats as a line end.
public struct DataDecoder: Sendable {
    /// A violation of the line rules in the content: CR without LF, LF without CR, or NUL (RFC 5321 section 2.3.8 and
    /// RFC 5322 section 2.3).
    public enum Defect: Hashable, Sendable {
        case bareCarriageReturn, bareLineFeed, null
    }

    private enum State {
        /// At the beginning, or after a CRLF.
        case lineStart
        /// After a dot at the beginning of a line. The dot has not been passed on.
        case dot
        /// After a dot and CR at the beginning of a line. Neither has been passed on.
        case dotCR
        case line
        /// Within a line, after a CR that has been passed on.
        case lineCR
    }

    private var state = State.lineStart
    /// The first violation, or nil if there was none.
    public private(set) var defect: Defect?

    public init() {}

    /// Consumes as much of `buffer` as possible and passes the content to `emit`, in runs that are as long as possible.
    ///
    /// - Returns: whether the end of the data was reached. If so, the rest of `buffer` belongs to the next commands.
    public mutating func decode(_ buffer: inout ByteBuffer, emit: (UnsafeRawBufferPointer) -> Void) -> Bool {
        let (consumed, ended) = buffer.withUnsafeReadableBytes { decode($0, emit: emit) }
        buffer.moveReaderIndex(forwardBy: consumed)
        return ended
    }

    private mutating func decode(
        _ bytes: UnsafeRawBufferPointer, emit: (UnsafeRawBufferPointer) -> Void
    ) -> (consumed: Int, ended: Bool) {
        guard let base = bytes.baseAddress else { return (0, false) }
        let count = bytes.count
        var position = 0
        // Bytes from here to `position` are content that has not been passed on yet.
        var runStart = 0
        func flush(to end: Int) {
            if end > runStart { emit(UnsafeRawBufferPointer(rebasing: bytes[runStart..<end])) }
        }
        while position < count {
            switch state {
            case .lineStart:
                if bytes[position] == 0x2E {
                    flush(to: position)
                    position += 1
                    runStart = position
                    state = .dot
                } else {
                    state = .line
                }

            case .dot:
                if bytes[position] == 0x0D {
                    // The CR is withheld too, until it is known whether this is the end of the data.
                    position += 1
                    runStart = position
                    state = .dotCR
                } else {
                    state = .line
                }

            case .dotCR:
                if bytes[position] == 0x0A {
                    return (position + 1, true)
                }
                // This is not the end of the data, so the withheld CR is content: a bare CR. It is passed on by itself,
                // because it may have arrived in an earlier buffer.
                note(.bareCarriageReturn)
                withUnsafeBytes(of: 0x0D as UInt8) { emit($0) }
                state = .line

            case .line:
                let rest = count - position
                let lineFeed = memchr(base + position, 0x0A, rest).map { UnsafeRawPointer($0) - base }
                let end = lineFeed ?? count
                inspect(UnsafeRawBufferPointer(rebasing: bytes[position..<end]))
                if let lineFeed {
                    if lineFeed > position, bytes[lineFeed - 1] == 0x0D {
                        state = .lineStart
                    } else {
                        note(.bareLineFeed)
                    }
                    position = lineFeed + 1
                } else {
                    if bytes[count - 1] == 0x0D { state = .lineCR }
                    position = count
                }

            case .lineCR:
                if bytes[position] == 0x0A {
                    state = .lineStart
                    position += 1
                } else {
                    note(.bareCarriageReturn)
                    state = .line
                }
            }
        }
        flush(to: count)
        return (count, false)
    }

    /// Looks for octets that must not be in a line. A CR as the last octet is not a violation here, because an LF may
    /// follow it.
    private mutating func inspect(_ segment: UnsafeRawBufferPointer) {
        guard defect == nil, let base = segment.baseAddress, !segment.isEmpty else { return }
        let null = memchr(base, 0, segment.count).map { UnsafeRawPointer($0) - base }
        // A CR is searched for only up to the NUL, because a violation after the NUL is not the first one.
        let end = null ?? segment.count - 1
        if memchr(base, 0x0D, end) != nil {
            note(.bareCarriageReturn)
        } else if null != nil {
            note(.null)
        }
    }

    private mutating func note(_ found: Defect) {
        if defect == nil { defect = found }
    }
}
