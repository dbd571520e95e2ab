import InternetMessage
import RelayCore

/// The content of one message on its way in: prepared for SES as it arrives, counted, and held until it is taken to disk.
///
/// A value without I/O. Its driver takes the bytes out when they get many (``takeBuffered()``) and decides at the end
/// what becomes of them. Once the message is known to be refused nothing more is kept of it.
public struct MessageIntake: Sendable {
    private var preparation: MessagePreparation
    private let maximumSize: Int
    /// Octets of content received, as the client counts them.
    public private(set) var received = 0
    private var buffer: [UInt8] = []
    private var isOverSize = false
    private var isAbandoned = false

    /// Of what tells the message when it is sent again; nil when nobody asks.
    private var hash: ContentHash?

    /// - Parameters:
    ///   - maximumSize: in octets of content as received.
    ///   - hash: to be given the content, for ``digest``; nil where none is wanted.
    public init(
        policy: PreparationPolicy, context: PreparationContext, maximumSize: Int, hash: ContentHash? = nil
    ) {
        preparation = MessagePreparation(policy: policy, context: context)
        self.maximumSize = maximumSize
        self.hash = hash
        buffer.reserveCapacity(MessageIntake.usualSize)
    }

    /// Octets that most messages have at most.
    private static let usualSize = 5120

    /// Above so many octets a message goes to the spool, piece by piece.
    public static let inlineLimit = 128 * 1024
    /// Octets of a piece.
    public static let chunkSize = 128 * 1024

    public mutating func consume(_ bytes: UnsafeRawBufferPointer) {
        received += bytes.count
        if received > maximumSize, !isOverSize {
            isOverSize = true
            buffer = []
        }
        guard !isOverSize, !isAbandoned else { return }
        let before = buffer.count
        let wasInHeader = preparation.headerSize == nil
        preparation.consume(bytes, into: &buffer)
        hash(from: before, wasInHeader)
        if preparation.rejection != nil {
            isAbandoned = true
            buffer = []
        }
    }

    /// Takes what was appended to the buffer: of the header section the client's own fields, and the body.
    private mutating func hash(from before: Int, _ wasInHeader: Bool) {
        guard hash != nil, let headerSize = preparation.headerSize else { return }
        buffer.withUnsafeBytes { buffer in
            var start = before
            if wasInHeader {
                for range in preparation.ownFields {
                    hash?.update(
                        UnsafeRawBufferPointer(
                            rebasing: buffer[(before + range.lowerBound)..<(before + range.upperBound)]))
                }
                start += headerSize
            }
            guard start < buffer.count else { return }
            hash?.update(UnsafeRawBufferPointer(rebasing: buffer[start...]))
        }
    }

    /// What ``RelayCore/ContentHash`` makes of the client's own header fields, but for trace fields, and the prepared body; nil when
    /// nobody asked. To be read once the message has been finished.
    public var digest: (code: [UInt8], former: [UInt8]?)? { hash?.finished() }

    /// Prepared octets not yet taken out.
    public var buffered: Int { buffer.count }

    /// Whether the message is refused already, so that nothing of it is needed any more.
    public var keepsNothing: Bool { isOverSize || isAbandoned }

    /// The store failed: the rest is only counted.
    public mutating func abandon() {
        isAbandoned = true
        buffer = []
    }

    public mutating func takeBuffered() -> [UInt8] {
        exchange(&buffer, [])
    }

    /// The content has ended. What is left of it can be taken out afterwards.
    public mutating func finish() -> Result<HeaderSummary, Refusal> {
        if isOverSize {
            return .failure(Refusal(.size, "The message is larger than the \(maximumSize) octets allowed here"))
        }
        let before = buffer.count
        let wasInHeader = preparation.headerSize == nil
        let end = preparation.finish(into: &buffer)
        hash(from: before, wasInHeader)
        switch end {
        case .success(let summary): return .success(summary)
        case .failure(let rejection):
            buffer = []
            return .failure(Refusal(rejection))
        }
    }
}

extension Refusal {
    init(_ rejection: MessageRejection) {
        let reason: RefusalReason =
            switch rejection {
            case .from: .headerFrom
            case .duplicateField: .headerRepeated
            case .headerTooLarge, .malformedHeader: .headerSyntax
            case .lineTooLong: .lineLength
            case .address: .headerAddress
            case .mime: .headerMIME
            case .attachment: .attachment
            case .loop: .loop
            case .relayField: .invalid
            }
        self.init(reason, rejection.explanation)
    }
}

func exchange<T>(_ value: inout T, _ new: T) -> T {
    let old = value
    value = new
    return old
}
