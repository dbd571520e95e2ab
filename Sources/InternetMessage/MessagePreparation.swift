#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Turns a submitted message into the message that SES gets, or says why the message is refused.
///
/// It takes the content of a message as it arrives: after dot-unstuffing, and without the end of data. Only the header
/// section is kept in memory. Once the header section is complete and valid, the output is:
/// - Received at the top, where RFC 5321 section 4.4 requires it;
/// - the fields of the message, octet for octet and in order, but without Bcc, Resent-Bcc, Return-Path, X-SES-*,
///   Hiveku-Idempotency-Key, Hiveku-Tags and Hiveku-Scheduled-At, and without continuation lines that have only blanks;
/// - Date and Message-ID if missing, at the end of the section, so that the trace fields stay together at the top and
///   the sender's own fields stay as they were signed;
/// - the empty line and the body, octet for octet;
/// - all of it with lines of at most 998 octets; longer lines are folded.
///
/// If a line of the header section was folded, the checks read the folded form.
public struct MessagePreparation: Sendable {
    private enum Phase {
        case header, body, ended
    }

    private let policy: PreparationPolicy
    private let context: PreparationContext
    private var phase = Phase.header
    private var header: [UInt8] = []
    /// How many octets of the current header line have arrived, including its CR.
    private var lineLength = 0
    private var longestLine = 0
    private var limiter = LineLimiter()
    /// Checks the parts of a multipart message as they pass. Nil for other messages.
    private var parts: PartScanner?

    /// Why the message is refused, once this is known. From then on there is no further output.
    public private(set) var rejection: MessageRejection?

    /// The contents of the header section, once it has ended and is valid. The message can still be refused because of
    /// its body.
    public private(set) var summary: HeaderSummary?

    /// The number of octets of the new header section with its empty line, once it was written. The body begins at this
    /// offset of the output.
    public private(set) var headerSize: Int?

    /// The client's own fields within the new header section, without trace fields. They are ranges of octets in order,
    /// counted from the beginning of the section. Known together with ``headerSize``.
    public private(set) var ownFields: [Range<Int>] = []

    public init(policy: PreparationPolicy, context: PreparationContext) {
        self.policy = policy
        self.context = context
    }

    /// Takes the next octets of the message, and appends prepared octets to `output`.
    public mutating func consume(_ bytes: UnsafeRawBufferPointer, into output: inout [UInt8]) {
        guard rejection == nil else { return }
        var bytes = bytes
        if phase == .header {
            guard let length = consumeHeader(bytes) else { return }
            phase = .body
            endHeader(into: &output)
            guard rejection == nil else { return }
            bytes = UnsafeRawBufferPointer(rebasing: bytes[length...])
        }
        guard phase == .body, !bytes.isEmpty else { return }
        let start = output.count
        if !limiter.append(bytes, folding: policy.longLines == .fold, to: &output) { return refuseLongLine() }
        if parts != nil { scanParts(output, from: start) }
    }

    /// Checks the parts of the message in the output from `start` on, as SES will read them.
    private mutating func scanParts(_ output: [UInt8], from start: Int) {
        let fault = output.withUnsafeBytes { parts?.consume(UnsafeRawBufferPointer(rebasing: $0[start...])) }
        if let fault { refuse(fault) }
    }

    /// Ends the message. If the empty line after the header section is missing, it is added. Returns the contents of
    /// the header section, or why the message is refused.
    public mutating func finish(into output: inout [UInt8]) -> Result<HeaderSummary, MessageRejection> {
        if rejection == nil, phase == .header {
            if lineLength > 0 {
                longestLine = max(longestLine, lineLength)
                header.append(contentsOf: [.cr, .lf])
            }
            header.append(contentsOf: [.cr, .lf])
            endHeader(into: &output)
        } else if rejection == nil, phase == .body {
            let start = output.count
            if !limiter.finish(folding: policy.longLines == .fold, to: &output) {
                refuseLongLine()
            } else if parts != nil {
                scanParts(output, from: start)
            }
        }
        phase = .ended
        if rejection == nil, let fault = parts?.finish() { refuse(fault) }
        if let rejection { return .failure(rejection) }
        // Without a rejection, the header section has been read, so there is a summary.
        guard let summary else { return .failure(.malformedHeader("The header section is incomplete")) }
        return .success(summary)
    }

    private mutating func refuse(_ reason: MessageRejection) {
        rejection = reason
        header = []
        parts = nil
    }

    private mutating func refuseLongLine() {
        refuse(.lineTooLong(limit: LineLimiter.limit))
    }

    /// Takes octets of the header section. If the section's empty line is among them, returns the number of octets up
    /// to the end of that line. Returns nil when all octets belong to the section, or when the message is refused.
    private mutating func consumeHeader(_ bytes: UnsafeRawBufferPointer) -> Int? {
        let room = max(0, policy.maximumHeaderSize - header.count)
        let end = min(bytes.count, room)
        var lineStart = 0
        var index = 0
        while index < end, let base = bytes.baseAddress {
            guard let found = memchr(base + index, CInt(UInt8.lf), end - index) else { break }
            index = UnsafeRawPointer(found) - base
            let previous = index > 0 ? bytes[index - 1] : header.last
            let length = lineLength + index - lineStart
            index += 1
            // `HeaderSection` refuses such a line too. But if all lines end this way, there is no empty line, so
            // `HeaderSection` would not be called before the message ends.
            guard previous == .cr, length > 0 else {
                refuse(.malformedHeader("The header holds an LF without CR; lines end with CRLF"))
                return nil
            }
            if length == 1 {
                header.append(contentsOf: UnsafeRawBufferPointer(rebasing: bytes[..<index]))
                return index
            }
            longestLine = max(longestLine, length - 1)
            if longestLine > LineLimiter.limit, policy.longLines == .refuse {
                refuseLongLine()
                return nil
            }
            lineLength = 0
            lineStart = index
        }
        guard end == bytes.count else {
            refuse(.headerTooLarge(limit: policy.maximumHeaderSize))
            return nil
        }
        lineLength += end - lineStart
        header.append(contentsOf: bytes)
        return nil
    }

    /// Reads the section and writes its new form.
    private mutating func endHeader(into output: inout [UInt8]) {
        if longestLine > LineLimiter.limit {
            guard policy.longLines == .fold else { return refuseLongLine() }
            var folded: [UInt8] = []
            folded.reserveCapacity(header.count + header.count / 256 + 8)
            var limiter = LineLimiter()
            // Folding refuses no line, and the section ends with CRLF, so the limiter keeps no octet back.
            _ = header.withUnsafeBytes { limiter.append($0, folding: true, to: &folded) }
            header = folded
        }
        let section: HeaderSection
        do {
            section = try HeaderSection(
                reading: header, refusedAttachments: policy.refusedAttachments, relayClause: context.relayClause)
        } catch {
            return refuse(error)
        }
        let start = output.count
        if policy.addReceived, let received = context.received { Self.append("Received", received, to: &output) }
        var index = 0
        ownFields = []
        for range in section.removed {
            pass(index..<range.lowerBound, section.trace, from: start, to: &output)
            index = range.upperBound
        }
        pass(index..<(header.count - 2), section.trace, from: start, to: &output)
        if !section.hasDate { Self.append("Date", context.date, to: &output) }
        if !section.hasMessageID { Self.append("Message-ID", context.messageID, to: &output) }
        output.append(contentsOf: [.cr, .lf])
        header = []
        headerSize = output.count - start
        summary = section.summary
        parts = section.multipart.map {
            PartScanner($0, fields: ContentFieldCheck(refusedAttachments: policy.refusedAttachments))
        }
    }

    /// Writes fields of the message unchanged, and records the positions of those that are not trace fields.
    private mutating func pass(
        _ fields: Range<Int>, _ trace: [Range<Int>], from start: Int, to output: inout [UInt8]
    ) {
        let shift = output.count - start - fields.lowerBound
        var index = fields.lowerBound
        for range in trace.lazy.map({ $0.clamped(to: fields) }) where !range.isEmpty {
            if index < range.lowerBound { ownFields.append((index + shift)..<(range.lowerBound + shift)) }
            index = range.upperBound
        }
        if index < fields.upperBound { ownFields.append((index + shift)..<(fields.upperBound + shift)) }
        output.append(contentsOf: header[fields])
    }

    /// Adds a field. Octets of `body` that would end the field early, or that are not ASCII, become spaces, because
    /// some of the text may come from a client.
    private static func append(_ name: String, _ body: String, to output: inout [UInt8]) {
        output.append(contentsOf: name.utf8)
        output.append(.colon)
        output.append(.space)
        var body = body
        body.withUTF8 { octets in
            let octets = UnsafeRawBufferPointer(octets)
            var index = 0
            while index < octets.count {
                let run = octets[index...].prefix { $0 == .tab || ($0 >= 0x20 && $0 < 0x7F) }
                output.append(contentsOf: UnsafeRawBufferPointer(rebasing: run))
                index = run.endIndex
                guard index < octets.count else { return }
                if octets[index] == .cr, index + 3 < octets.count, octets[index + 1] == .lf, octets[index + 2].isBlank,
                    octets[index + 3] != .cr
                {
                    output.append(contentsOf: [.cr, .lf, octets[index + 2]])
                    index += 3
                } else {
                    output.append(.space)
                    index += 1
                }
            }
        }
        output.append(contentsOf: [.cr, .lf])
    }
}
