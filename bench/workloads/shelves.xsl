<?xml version="1.0"?>
<!-- The xsltproc workload: books by shelf, sorted, with their authors; see xml() in inputs.py. -->
<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform">
  <xsl:output method="xml" indent="yes"/>
  <xsl:key name="author" match="book" use="author"/>
  <xsl:key name="shelf" match="book" use="@shelf"/>
  <xsl:template match="/catalogue">
    <shelves>
      <xsl:for-each select="book[generate-id() = generate-id(key('shelf', @shelf)[1])]">
        <xsl:sort select="@shelf" data-type="number"/>
        <shelf number="{@shelf}" books="{count(key('shelf', @shelf))}">
          <xsl:for-each select="key('shelf', @shelf)">
            <xsl:sort select="year"/>
            <xsl:sort select="title"/>
            <xsl:sort select="@id"/>
            <xsl:apply-templates select="."/>
          </xsl:for-each>
        </shelf>
      </xsl:for-each>
    </shelves>
  </xsl:template>
  <xsl:template match="book">
    <book id="{@id}">
      <xsl:value-of select="concat(translate(title, 'aeiou', 'AEIOU'), ' (', year, ')')"/>
      <xsl:for-each select="author">
        <xsl:sort select="."/>
        <by others="{count(key('author', .)) - 1}"><xsl:value-of select="."/></by>
      </xsl:for-each>
      <length><xsl:value-of select="string-length(normalize-space(text))"/></length>
    </book>
  </xsl:template>
</xsl:stylesheet>
