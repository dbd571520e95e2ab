/// Something about a key that needs an operator's attention.
public struct KeyNote: Hashable, Sendable {
    /// A few words, such as `unused for 40 d`.
    public var text: String
    /// Whether mail is lost or SES may step in, so that the note must be prominent.
    public var isUrgent = false

    /// What an operator can do about the note, without a full stop; nil if nothing needs to be done.
    public var advice: String?
}

extension KeyRecord {
    /// The key's rates of bounces and complaints in the last 30 UTC days, by its `KeyUsage.feedback`.
    public var standing: SendingStanding { SendingStanding(usage.feedback) }

    /// What needs attention, the most urgent first; empty if the key is fine.
    public func notes(at now: Timestamp) -> [KeyNote] {
        let day = Duration.seconds(86_400)
        if key.revokedAt != nil { return [KeyNote(text: "revoked")] }
        var notes: [KeyNote] = []
        if let expiry = key.expiresAt {
            if expiry <= now {
                notes.append(
                    KeyNote(
                        text: "EXPIRED", isUrgent: true,
                        advice: "applications with this key are refused: extend its expiry, or revoke it"))
            } else if expiry - now < day * 14 {
                notes.append(
                    KeyNote(
                        text: "expires in \(approximate(expiry - now))",
                        advice: "extend its expiry if it is still needed"))
            }
        }
        if !key.canSend {
            notes.append(
                KeyNote(text: "can't send: no email:send or email:batch", advice: "add the scope email:send"))
        }
        let retire = "revoke it if it is no longer needed"
        if let last = usage.lastUsedAt {
            if now - last >= day * 30 {
                notes.append(KeyNote(text: "unused for \(approximate(now - last))", advice: retire))
            }
        } else if now - key.createdAt >= day {
            notes.append(KeyNote(text: "never used", advice: retire))
        }
        if usage.rateLimitHits > 0 {
            notes.append(
                KeyNote(text: "hits its limits", advice: "raise the limits, or find out why it sends so much"))
        }
        if let cap = key.limits.perDay, usage.emailsToday >= cap {
            notes.append(
                KeyNote(
                    text: "daily cap used up", isUrgent: true,
                    advice: "mail is refused until 00:00 UTC: raise the daily cap if that is not intended"))
        }
        if usage.authFailures > 0 {
            notes.append(
                KeyNote(
                    text: "fails to log in",
                    advice: "an application has a wrong secret, or connects from an address that is not allowed"))
        }
        return notes + standing.notes
    }
}

extension SendingStanding {
    /// What needs an operator's attention.
    public var notes: [KeyNote] {
        var notes: [KeyNote] = []
        if bouncesTooOften {
            notes.append(
                KeyNote(
                    text: "BOUNCES TOO OFTEN (SES reviews at \(percent(SendingStanding.bounceThreshold)))",
                    isUrgent: true, advice: "find out where its addresses come from"))
        }
        if complainedOfTooOften {
            notes.append(
                KeyNote(
                    text: "TOO MANY COMPLAINTS (SES reviews at \(percent(SendingStanding.complaintThreshold)))",
                    isUrgent: true, advice: "make sure that its recipients have asked for this mail"))
        }
        return notes
    }

    /// The counts and the rates in one line.
    public var summary: String {
        "\(counts.deliveries) delivered, \(counts.bounces) bounced (\(counts.hardBounces) permanently), "
            + "\(counted(counts.complaints, "complaint", "complaints")) in 30 days; rates: "
            + "permanent bounces \(percent(bounceRate)), complaints \(percent(complaintRate))"
    }
}

extension Key {
    /// Whether one of the key's scopes lets it send email.
    public var canSend: Bool { scopes.contains(.send) || scopes.contains(.batch) }
}

extension SendingLimits: CustomStringConvertible {
    /// The limits as `10/s` or `10/s burst 50, 1000/day`.
    public var description: String {
        var text = "\(decimal(perSecond))/s"
        if let burst { text += " burst \(burst)" }
        if let perDay { text += ", \(perDay)/day" }
        return text
    }
}
