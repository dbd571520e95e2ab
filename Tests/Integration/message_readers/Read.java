import java.io.ByteArrayInputStream;
import java.io.DataInputStream;
import java.io.EOFException;
import java.io.InputStream;
import java.io.PrintStream;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.List;
import java.util.Properties;
import javax.mail.Message;
import javax.mail.Part;
import javax.mail.Session;
import javax.mail.internet.ContentType;
import javax.mail.internet.InternetAddress;
import javax.mail.internet.MimeBodyPart;
import javax.mail.internet.MimeMessage;
import javax.mail.internet.MimeMultipart;
import javax.mail.internet.MimePart;
import javax.mail.internet.MimePartDataSource;
import javax.mail.internet.MimeUtility;

/** JavaMail, strict about addresses, as SES seems to use it. */
public class Read {
    private final List<String> parts = new ArrayList<>();

    public static void main(String[] arguments) throws Exception {
        Session session = Session.getInstance(new Properties());
        DataInputStream input = new DataInputStream(System.in);
        PrintStream output = new PrintStream(System.out, false, "US-ASCII");
        while (true) {
            byte[] octets;
            try {
                octets = new byte[input.readInt()];
            } catch (EOFException end) {
                break;
            }
            input.readFully(octets);
            output.println(new Read().read(new MimeMessage(session, new ByteArrayInputStream(octets))));
        }
        output.flush();
    }

    private String read(MimeMessage message) throws Exception {
        String note = message.getHeader("X-Note", null);
        visit(message, "");
        return "{\"subject\": " + quoted(message.getSubject())
            + ", \"note\": " + quoted(note == null ? null : MimeUtility.decodeText(MimeUtility.unfold(note)))
            + ", \"from\": " + addresses(message, "From") + ", \"to\": " + addresses(message, "To")
            + ", \"cc\": " + addresses(message, "Cc") + ", \"reply_to\": " + addresses(message, "Reply-To")
            + ", \"parts\": [" + String.join(", ", parts) + "]}";
    }

    private static String addresses(MimeMessage message, String field) throws Exception {
        List<String> found = new ArrayList<>();
        String body = message.getHeader(field, ",");
        if (body == null) return "[]";
        for (InternetAddress address : InternetAddress.parseHeader(body, true)) {
            address.validate();
            found.add("[" + quoted(address.getPersonal()) + ", " + quoted(address.getAddress()) + "]");
        }
        return "[" + String.join(", ", found) + "]";
    }

    private void visit(MimePart part, String around) throws Exception {
        ContentType type = new ContentType(part.getHeader("Content-Type", null));
        String types = around + (around.isEmpty() ? "" : " ") + type.getBaseType();
        if (type.getPrimaryType().equals("multipart")) {
            MimeMultipart inner = new MimeMultipart(new MimePartDataSource(part));
            for (int index = 0; index < inner.getCount(); index++) visit((MimeBodyPart) inner.getBodyPart(index), types);
            if (!inner.isComplete()) throw new IllegalStateException("the last boundary is missing");
            return;
        }
        MessageDigest digest = MessageDigest.getInstance("SHA-256");
        try (InputStream content = ((Part) part).getInputStream()) {
            byte[] buffer = new byte[65536];
            for (int count; (count = content.read(buffer)) > 0;) digest.update(buffer, 0, count);
        }
        StringBuilder hash = new StringBuilder();
        for (byte octet : digest.digest()) hash.append(String.format("%02x", octet));
        String id = part.getContentID();
        parts.add("{\"types\": " + quoted(types) + ", \"disposition\": " + quoted(part.getDisposition())
            + ", \"filename\": " + quoted(part.getFileName()) + ", \"id\": " + quoted(id)
            + ", \"sha256\": " + quoted(hash.toString()) + "}");
    }

    private static String quoted(String text) {
        StringBuilder result = new StringBuilder("\"");
        for (char unit : (text == null ? "" : text).toCharArray()) {
            if (unit >= ' ' && unit <= '~' && unit != '"' && unit != '\\') result.append(unit);
            else result.append(String.format("\\u%04x", (int) unit));
        }
        return result.append('"').toString();
    }
}
