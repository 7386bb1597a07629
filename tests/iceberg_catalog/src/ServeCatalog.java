import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Properties;
import java.util.TreeMap;
import org.apache.iceberg.jdbc.JdbcCatalog;
import org.apache.iceberg.rest.RESTCatalogAdapter;
import org.apache.iceberg.rest.RESTCatalogServlet;
import org.eclipse.jetty.ee10.servlet.ServletContextHandler;
import org.eclipse.jetty.ee10.servlet.ServletHolder;
import org.eclipse.jetty.server.Server;
import org.eclipse.jetty.server.ServerConnector;

/**
 * Apache's REST catalog on a free port of this machine, until standard input ends.
 *
 * <p>The one argument is a file of properties for JdbcCatalog. The port is printed as a line.
 */
final class ServeCatalog {
  private ServeCatalog() {}

  public static void main(String[] arguments) throws Exception {
    Properties read = new Properties();
    try (var text = Files.newBufferedReader(Path.of(arguments[0]))) {
      read.load(text);
    }
    var properties = new TreeMap<String, String>();
    read.stringPropertyNames().forEach(name -> properties.put(name, read.getProperty(name)));
    var tables = new JdbcCatalog();
    tables.initialize("tests", properties);

    var server = new Server();
    var connector = new ServerConnector(server);
    connector.setHost("127.0.0.1");
    server.addConnector(connector);
    var handler = new ServletContextHandler();
    var servlet = new RESTCatalogServlet(new RESTCatalogAdapter(tables));
    handler.addServlet(new ServletHolder(servlet), "/*");
    server.setHandler(handler);
    server.start();
    System.out.println(connector.getLocalPort());
    System.out.flush();
    System.in.readAllBytes();
    Runtime.getRuntime().halt(0);
  }
}
