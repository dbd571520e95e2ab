#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Makes of a submitted message the one that SES is given, or says why not.
///
/// Fed with the content of a message as it arrives, after dot-unstuffing and before the end of data; only the header section
/// is held in memory. What comes out, once the header section is complete and found good:
/// - Received at the top, where RFC 5321 section 4.4 has it;
/// - the fields of the message, octet for octet and in order, without Bcc, Resent-Bcc, Return-Path, X-SES-*,
///   Hiveku-Idempotency-Key, Hiveku-Tags and Hiveku-Scheduled-At, and without continuation lines that hold only blanks;
/// - Date and Message-ID where missing, at the end of the section, so that the trace fields stay together at the top and the
///   sender's own fields stay as they were signed;
/// - the empty line and the body, octet for octet;
/// - all with lines of at most 998 octets, longer ones folded.
///
/// Where a line was folded in the header section, the folded form is the one that was checked.
public struct MessagePreparation: Sendable {
    private enum Phase {
        case header, body, ended
    }

    private let policy: PreparationPolicy
    private let context: PreparationContext
    private var phase = Phase.header
    private var header: [UInt8] = []
    /// Octets of the header line that is being received, its CR included.
    private var lineLength = 0
    private var longestLine = 0
    private var limiter = LineLimiter()
    /// Reads the parts of a multipart message as they pass; nil for any other message.
    private var parts: PartScanner?

    /// Why the message is refused, as soon as that is known; nothing is put out any more from then on.
    public private(set) var rejection: MessageRejection?

    /// What the header section says, as soon as it has ended and found good. The body may still be refused.
    public private(set) var summary: HeaderSummary?

    /// Octets of the new header section with its empty line, as soon as it was put out: where the body begins in the output.
    public private(set) var headerSize: Int?

    /// The client's own fields within the new header section, without trace fields: offsets in octets from its beginning, in
    /// order. Known together with ``headerSize``.
    public private(set) var ownFields: [Range<Int>] = []

    public init(policy: PreparationPolicy, context: PreparationContext) {
        self.policy = policy
        self.context = context
    }

    /// Takes the next octets of the message and appends those that are ready to `output`.
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

    /// Reads what was put out from `start` on, as SES will.
    private mutating func scanParts(_ output: [UInt8], from start: Int) {
        let fault = output.withUnsafeBytes { parts?.consume(UnsafeRawBufferPointer(rebasing: $0[start...])) }
        if let fault { refuse(fault) }
    }

    /// Ends the message. A message without the empty line behind the header section gets it.
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
        // Without a rejection the header section has been read, hence summarised.
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

    /// Takes octets of the header section. Returns how many, when its empty line is among them; nil when all were taken, or
    /// the message is refused.
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
            // The reader of the section says the same with the number of the line, but would not be reached for lack of
            // an empty line when all lines end so.
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

    /// Reads the section and puts out its new form.
    private mutating func endHeader(into output: inout [UInt8]) {
        if longestLine > LineLimiter.limit {
            guard policy.longLines == .fold else { return refuseLongLine() }
            var folded: [UInt8] = []
            folded.reserveCapacity(header.count + header.count / 256 + 8)
            var limiter = LineLimiter()
            // Folding refuses nothing, and the section ends with CRLF, so nothing is held back.
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

    /// Puts out fields of the message as they are, and notes where those that are no trace fields stand.
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

    /// Adds a field. What would end it early, or is no ASCII, becomes a space: parts of the body may come from a client.
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
