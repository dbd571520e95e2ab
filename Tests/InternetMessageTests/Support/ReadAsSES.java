import java.io.ByteArrayInputStream;
import java.io.DataInputStream;
import java.io.EOFException;
import java.io.PrintStream;
import java.io.UnsupportedEncodingException;
import java.util.ArrayList;
import java.util.ConcurrentModificationException;
import java.util.List;
import java.util.Properties;
import javax.mail.MessagingException;
import javax.mail.Session;
import javax.mail.internet.ContentDisposition;
import javax.mail.internet.ContentType;
import javax.mail.internet.InternetAddress;
import javax.mail.internet.MimeBodyPart;
import javax.mail.internet.MimeMessage;
import javax.mail.internet.MimeMultipart;
import javax.mail.internet.MimePart;
import javax.mail.internet.MimePartDataSource;
import javax.mail.internet.MimeUtility;

/**
 * Reads messages with JavaMail, in the way that reproduces the refusals of SES.
 *
 * Input: messages, each after its length in four octets, big-endian. Output: one line for each message. It begins with "ok", with
 * "none" if there is no verdict, or with the reason why JavaMail refuses the message. Then come the names of the files that
 * JavaMail finds, each after a tab.
 */
public class ReadAsSES {
    private final List<String> names = new ArrayList<>();

    public static void main(String[] arguments) throws Exception {
        System.setProperty("mail.mime.decodefilename", "true");
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
            ReadAsSES reader = new ReadAsSES();
            StringBuilder line = new StringBuilder(reader.verdict(session, octets));
            for (String name : reader.names) line.append('\t').append(name.replaceAll("[^ -~]", "?"));
            output.println(line);
        }
        output.flush();
    }

    private String verdict(Session session, byte[] octets) throws Exception {
        try {
            MimeMessage message = new MimeMessage(session, new ByteArrayInputStream(octets));
            for (String field : new String[] {"To", "Cc", "Reply-To"}) {
                String[] bodies = message.getHeader(field);
                if (bodies == null) continue;
                for (String body : bodies) readAddresses(body);
            }
            readEntity(message, message.getHeader("Content-Type", null), message.getHeader("Content-Disposition", null));
            return "ok";
        } catch (MessagingException refusal) {
            return String.valueOf(refusal.getMessage()).replaceAll("[^ -~]", "?");
        } catch (ConcurrentModificationException fault) {
            // This is a bug in JavaMail. It occurs if two parameters are split into pieces and the first piece is not encoded. It
            // says nothing about the message.
            names.clear();
            return "none";
        }
    }

    /** SES reports "Missing final '@domain'" for an empty field, too. */
    private static void readAddresses(String body) throws MessagingException {
        InternetAddress[] addresses = InternetAddress.parseHeader(body, true);
        if (addresses.length == 0) throw new MessagingException("Missing final '@domain'");
        for (InternetAddress address : addresses) address.validate();
    }

    private void readEntity(MimePart part, String type, String disposition) throws Exception {
        // JavaMail ignores a wrong Content-Type in some places, but SES does not ("Expected '/', got ;").
        ContentType contentType = type == null ? null : new ContentType(type);
        if (disposition != null) {
            note(new ContentDisposition(disposition).getParameter("filename"));
        }
        if (contentType != null) note(contentType.getParameter("name"));
        part.getEncoding();
        if (contentType == null || !contentType.getPrimaryType().equalsIgnoreCase("multipart")) return;
        MimeMultipart parts = new MimeMultipart(new MimePartDataSource(part));
        for (int index = 0; index < parts.getCount(); index++) {
            MimeBodyPart inner = (MimeBodyPart) parts.getBodyPart(index);
            readEntity(inner, inner.getHeader("Content-Type", null), inner.getHeader("Content-Disposition", null));
        }
    }

    private void note(String name) {
        if (name == null) return;
        try {
            names.add(MimeUtility.decodeText(name));
        } catch (UnsupportedEncodingException unknown) {
            names.add(name);
        }
    }
}
