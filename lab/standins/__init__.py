"""C# stand-ins for what neither wine nor .NET has: each in one file, compiled once, named in the README's table."""
